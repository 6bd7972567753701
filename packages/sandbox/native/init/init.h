/*
 * The init that runs inside every sandbox: one connection to the host, many concurrent executions, file operations,
 * change tracking, TCP forwarding and the lease. One thread, one epoll loop; whatever may take long is cut into turns.
 */
#ifndef GUILD_INIT_H
#define GUILD_INIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>

#define PROTOCOL_VERSION 2
#define MAX_FRAME (512u << 20)

/* Frames are `u32 length, u8 type, u32 id, payload`, little-endian; length counts what follows it. Mirrored in src/wire/frame.ts. */
enum from_host {
  H_EXEC = 1, H_INPUT = 2, H_INPUT_CLOSE = 3, H_CREDIT = 4, H_SIGNAL = 5, H_RESIZE = 6, H_CLOSE = 7, H_RENEW = 8, H_CONNECT = 9,
  H_USAGE = 10, H_SHUTDOWN = 11, H_LISTEN = 12, H_ACCEPT = 13, H_END_ALL = 14,
  H_STAT = 16, H_REALPATH = 17, H_READ = 18, H_WRITE = 19, H_LIST = 20, H_MKDIR = 21, H_REMOVE = 22, H_RENAME = 23, H_SYMLINK = 24,
  H_READLINK = 25, H_CHMOD = 26, H_WALK = 27, H_WRITE_MORE = 28,
  H_TRACK = 32, H_CHANGES = 33,
};

enum to_host {
  T_RESULT = 128, T_OUTPUT = 129, T_EXIT = 130, T_END = 131, T_INPUT_CREDIT = 132, T_HELLO = 133, T_PART = 134, T_GONE = 135,
  T_INPUT_CLOSED = 136,
};

enum limit_hit { LIMIT_NONE = 0, LIMIT_WALL = 1, LIMIT_CPU = 2, LIMIT_MEMORY = 3, LIMIT_LEASE = 4, LIMIT_FILE = 5, LIMIT_DISK = 6 };

/* ---- options of the whole init (main.c) ---- */
struct options {
  int connection;
  const char *connect;   /* Unix socket to connect to instead; NULL: none */
  uint64_t patience_ms;  /* how long that socket may take to be there */
  int await;             /* the rest of the options comes over the connection; 2: and a byte says that it is waited for. See start.c */
  const char *filter;    /* file with a system call filter to put on; NULL: somebody else has done so */
  const char *workspace;
  bool pid_one;          /* we are init of our own pid namespace */
  uint64_t lease_ms;     /* 0: none */
  uint64_t memory_bytes; /* enforced by sampling when no cgroup does it; 0: not ours to enforce */
  uint64_t data_bytes;   /* RLIMIT_DATA of commands; 0: none */
  uint64_t disk_bytes;   /* that may come to the workspace's file system; 0: no bound of its own */
  uint64_t disk_files;   /* the same, in files */
  uint64_t disk_reserve; /* bytes to be left of it */
  uint64_t processes;    /* RLIMIT_NPROC of commands; 0: none */
};
extern struct options options;

void parse_options(char **arguments);

/* ---- start.c: for those who cannot hand us a descriptor, or not yet say everything ---- */
void start_connect(void);
void start_await(void);
void start_filter(void);
_Noreturn void start_fail(const char *what, const char *subject, int code);

/* ---- time ---- */
uint64_t now_ms(void); /* CLOCK_BOOTTIME: goes on while the machine sleeps */

/* ---- wire.c ---- */
struct reader {
  const uint8_t *at, *end;
  bool bad;
};
uint8_t read_u8(struct reader *);
uint16_t read_u16(struct reader *);
uint32_t read_u32(struct reader *);
uint64_t read_u64(struct reader *);
const uint8_t *read_bytes(struct reader *, uint32_t *length); /* the rest */
char *read_string(struct reader *);                           /* NUL-terminated, lives until the frame is done */

struct writer {
  uint8_t *data;
  size_t length, capacity;
};
void put_u8(struct writer *, uint8_t);
void put_u16(struct writer *, uint16_t);
void put_u32(struct writer *, uint32_t);
void put_u64(struct writer *, uint64_t);
void put_bytes(struct writer *, const void *, size_t);
void put_string(struct writer *, const char *);
void writer_free(struct writer *);

void send_frame(uint8_t type, uint32_t id, const void *payload, size_t length);
void send_frame2(uint8_t type, uint32_t id, const void *head, size_t head_length, const void *body, size_t body_length);
void reply(uint32_t id, int error, struct writer *payload); /* payload may be NULL; freed */
size_t outgoing(void);
void wire_open(int fd);
bool wire_readable(void); /* false: the connection is over */
bool wire_writable(void);
void wire_flush_blocking(int timeout_ms);

/* ---- loop.c: sources of events ---- */
struct source {
  void (*ready)(struct source *, uint32_t events);
  int fd;
  uint32_t interest;
};
void source_open(struct source *, int fd, uint32_t interest, void (*ready)(struct source *, uint32_t));
void source_interest(struct source *, uint32_t interest);
void source_close(struct source *); /* closes the descriptor too */
void free_later(void *);            /* freed when no event of this turn can name it any more */
void run_loop(void);
void wake_at(uint64_t ms); /* the next turn comes no later than this */

/* ---- channel.c: byte streams with credit, for executions and TCP ---- */
#define INPUT_WINDOW (64u << 10)
enum { STREAM_OUT = 0, STREAM_ERR = 1, STREAM_CONTROL = 2, STREAMS = 3 };

struct channel {
  struct channel *next;
  uint32_t id;
  bool is_process;
  bool discard; /* nobody listens: keep the writers running */
  bool terminal;
  struct source out[STREAMS];
  uint32_t pending[STREAMS]; /* events seen and not yet served */
  uint64_t credit;
  bool ended;
  uint8_t held[512]; /* control bytes read and not yet passed on: the output written before them goes first */
  size_t held_length;
  bool control_over;
  struct source in;
  uint8_t *queue;
  size_t queue_start, queue_length;
  bool closing_input;
  struct process *process; /* when is_process */
};
struct channel *channel_new(uint32_t id, uint64_t credit);
struct channel *channel_find(uint32_t id);
void channel_free(struct channel *);
void channel_output(struct channel *, int stream, int fd);
void channel_input(struct channel *, int fd);
void channel_give_input(struct channel *, const uint8_t *, size_t);
void channel_close_input(struct channel *);
void channel_credit(struct channel *, uint64_t);
void channel_discard(struct channel *);
void channel_pump(struct channel *);
extern struct channel *channels;

/* ---- process.c ---- */
struct process {
  struct channel *channel;
  pid_t keeper, pid;
  struct source status;
  bool started, exited, gone, detached, dying;
  uint32_t close_request; /* to be answered when all of it is gone */
  bool close_wanted;
  uint8_t limit;
  uint64_t wall_deadline, cpu_limit_ms, next_cpu_check, next_kill;
  uint64_t seen_written, seen_cpu_ms; /* disk.c's */
};
void process_start(uint32_t id, struct reader *);
void process_signal(uint32_t request, struct reader *);
void process_resize(uint32_t request, struct reader *);
void process_close(uint32_t request, struct reader *);
void process_keeper_gone(pid_t pid);
void process_kill(struct process *, uint8_t limit);
void process_turn(uint64_t now);      /* time limits, killing that is under way */
void process_maybe_free(struct process *);
bool process_is_ours(pid_t pid);      /* a keeper, or what a keeper has not made a command yet: they hold nothing of the workspace */
void kill_all(void);                  /* all descendants; returns when none is left */
void kill_everything(uint8_t limit);  /* all executions, then all descendants; returns when none is left */

/* ---- tree.c: what descends from a process ---- */
struct tree_sum {
  uint64_t rss_bytes, cpu_ms, written_bytes;
  uint32_t processes;
};
/* Calls `visit` for all that descends from root, not for root itself. Signal-safe. */
void tree_visit(pid_t root, void (*visit)(pid_t, void *), void *context);
int tree_kill(pid_t root, int signal); /* how many were signalled. Signal-safe. */
void tree_measure(pid_t root, struct tree_sum *);
/* The same twice: nothing of what descends from root has run in between. 0: that cannot be told, something runs just now. */
uint64_t tree_activity(pid_t root);
pid_t tree_parent(pid_t pid); /* 0: it is gone */
/* What a process, its threads and those of its children that it has waited for had stored in files, rewriting included. */
uint64_t process_stored_bytes(pid_t pid);

/* ---- keeper.c: parent of one execution, in a process of its own ---- */
struct start_plan {
  char **argv, **env;
  const char *cwd;
  int in, out, err, control, terminal; /* -1: none */
  struct { bool set; struct rlimit value; } cpu, file, files, processes, data;
};
struct status_message {
  enum { STATUS_STARTED, STATUS_FAILED, STATUS_EXITED } kind;
  int value; /* pid, errno, wait status */
  uint64_t cpu_us, rss_bytes;
};
_Noreturn void keeper_run(const struct start_plan *, int status_fd);

/* ---- file.c, file-write.c, walk.c ---- */
void file_request(uint8_t type, uint32_t id, struct reader *);
void file_write(uint32_t id, struct reader *);
void file_write_more(uint32_t id, struct reader *);
int make_parents(const char *path, mode_t mode);
struct stat;
void put_stat(struct writer *, const struct stat *);
uint8_t stat_kind(mode_t mode);
void walk_start(uint32_t id, struct reader *);
void walk_credit(uint32_t id, uint32_t credit);
bool walk_turn(void); /* true: more to do at once */

/* ---- change.c ---- */
void change_track(uint32_t id, struct reader *);
void change_report(uint32_t id);

/* ---- tcp.c ---- */
void tcp_connect(uint32_t id, struct reader *);

/* ---- listen.c: ports whose connections go to the host ---- */
void tcp_listen(uint32_t id, struct reader *);
void tcp_accept(uint32_t id, struct reader *);

/* ---- lease.c ---- */
void lease_start(void);
void lease_renew(void);
bool lease_lapsed(void);

/* ---- memory.c ---- */
void memory_turn(uint64_t now);

/* ---- own.c: what the sandbox itself has written, and what the workspace holds ---- */
struct own_use {
  uint64_t bytes, files;
  uint64_t closed; /* directories that could not be looked into, descriptors that nobody holds, mapped files of unknown size */
  uint64_t hidden; /* processes that could not be looked into: nobody knows what they wrote */
};
uint64_t own_written(void); /* since the first call or before; never too little but for processes that nobody waits for and that live between two calls */
void own_held(struct own_use *);
uint64_t own_last_process(void); /* its id: another one says that processes were started meanwhile */

/* ---- nameless.c: what processes hold of it without a name ---- */
void nameless_held(struct own_use *);

/* ---- mapped.c: the same of what a process runs or has mapped; `fresh`: not counted before ---- */
void mapped_begin(void); /* of one look at all */
void mapped_held(pid_t, dev_t, bool (*fresh)(ino_t, struct own_use *), struct own_use *);

/* ---- disk.c ---- */
void disk_start(void);
bool disk_full(uint64_t more); /* that many bytes more would be too much */
void disk_turn(uint64_t now);

void *must(void *allocated); /* ends the init when memory is out */

#endif
