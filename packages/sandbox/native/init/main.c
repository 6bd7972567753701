/* Start, dispatch of requests, and the end. Usage: guild-init (--connection FD | --connect SOCKET [--patience-ms N]) [--await 1] --workspace DIR [--lease-ms N] [--…-bytes N] … */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct options options = {.connection = 3};

void *must(void *allocated) {
  if (allocated == NULL) _exit(70);
  return allocated;
}

static void report_usage(uint32_t id) {
  struct tree_sum sum;
  tree_measure(getpid(), &sum);
  struct writer out = {0};
  put_u64(&out, sum.rss_bytes);
  put_u32(&out, sum.processes);
  put_u64(&out, sum.cpu_ms);
  put_u64(&out, tree_activity(getpid()));
  reply(id, 0, &out);
}

static bool shutting_down;

void dispatch(uint8_t type, uint32_t id, struct reader *reader);

void dispatch(uint8_t type, uint32_t id, struct reader *reader) {
  struct channel *channel;
  uint32_t length;
  const uint8_t *bytes;
  switch (type) {
  case H_EXEC: process_start(id, reader); return;
  case H_INPUT:
    bytes = read_bytes(reader, &length);
    if ((channel = channel_find(id)) != NULL) channel_give_input(channel, bytes, length);
    return;
  case H_INPUT_CLOSE:
    if ((channel = channel_find(id)) != NULL) channel_close_input(channel);
    return;
  case H_CREDIT: {
    uint32_t credit = read_u32(reader);
    if ((channel = channel_find(id)) != NULL) channel_credit(channel, credit);
    else walk_credit(id, credit);
    return;
  }
  case H_SIGNAL: process_signal(id, reader); return;
  case H_RESIZE: process_resize(id, reader); return;
  case H_CLOSE: process_close(id, reader); return;
  case H_RENEW:
    lease_renew();
    reply(id, 0, NULL);
    return;
  case H_END_ALL:
    kill_all();
    reply(id, 0, NULL);
    return;
  case H_CONNECT: tcp_connect(id, reader); return;
  case H_LISTEN: tcp_listen(id, reader); return;
  case H_ACCEPT: tcp_accept(id, reader); return;
  case H_USAGE: report_usage(id); return;
  case H_SHUTDOWN: shutting_down = true; return;
  case H_WRITE: file_write(id, reader); return;
  case H_WRITE_MORE: file_write_more(id, reader); return;
  case H_WALK: walk_start(id, reader); return;
  case H_TRACK: change_track(id, reader); return;
  case H_CHANGES: change_report(id); return;
  default: file_request(type, id, reader);
  }
}

bool told_to_shut_down(void) { return shutting_down; }

static uint64_t number(const char *text) { return text == NULL ? 0 : strtoull(text, NULL, 10); }

/* Commands, which inherit it, go before the host's own processes when memory runs out. Before `hide`, which closes the way to it. */
static void offer_as_victim(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return; /* read-only /proc: the order of victims is then the kernel's own */
  if (write(fd, "500", 3) < 0) fputs("guild-init: oom_score_adj cannot be written\n", stderr);
  close(fd);
}

/* Commands run under our own uid: they are not to read or write our memory, nor that of keepers, nor to take our descriptors. */
static void hide(void) { prctl(PR_SET_DUMPABLE, 0); }

void parse_options(char **arg) {
  for (; arg[0] != NULL && arg[1] != NULL; arg += 2) {
    if (strcmp(arg[0], "--connection") == 0) options.connection = (int)number(arg[1]);
    else if (strcmp(arg[0], "--connect") == 0) options.connect = arg[1];
    else if (strcmp(arg[0], "--patience-ms") == 0) options.patience_ms = number(arg[1]);
    else if (strcmp(arg[0], "--await") == 0) options.await = (int)number(arg[1]);
    else if (strcmp(arg[0], "--seccomp") == 0) options.filter = arg[1];
    else if (strcmp(arg[0], "--workspace") == 0) options.workspace = arg[1];
    else if (strcmp(arg[0], "--lease-ms") == 0) options.lease_ms = number(arg[1]);
    else if (strcmp(arg[0], "--memory-bytes") == 0) options.memory_bytes = number(arg[1]);
    else if (strcmp(arg[0], "--data-bytes") == 0) options.data_bytes = number(arg[1]);
    else if (strcmp(arg[0], "--disk-bytes") == 0) options.disk_bytes = number(arg[1]);
    else if (strcmp(arg[0], "--disk-files") == 0) options.disk_files = number(arg[1]);
    else if (strcmp(arg[0], "--disk-reserve") == 0) options.disk_reserve = number(arg[1]);
    else if (strcmp(arg[0], "--processes") == 0) options.processes = number(arg[1]);
    else _exit(64);
  }
}

/* Commands get descriptors 0 to 3 by number; ours must not stand there. Nothing that we were started with reaches a command. */
static void settle_descriptors(void) {
  for (int fd = 0; fd <= 3; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) _exit(71);
  close_range(0, ~0u, CLOSE_RANGE_CLOEXEC);
  close_range((unsigned)options.connection + 1, ~0u, 0);
  fcntl(options.connection, F_SETFL, fcntl(options.connection, F_GETFL) | O_NONBLOCK);
}

int main(int argc, char **argv) {
  (void)argc;
  parse_options(argv + 1);
  /* With bubblewrap; without the host the connection ends, and so do we. */
  if (getpid() == 1 && options.connect == NULL) prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (options.connect != NULL) start_connect();
  if (options.await) start_await();
  if (options.workspace == NULL || chdir(options.workspace) != 0)
    start_fail("workspace", options.workspace == NULL ? "none" : options.workspace, 66);
  options.pid_one = getpid() == 1;
  setsid();
  umask(022);
  prctl(PR_SET_NAME, "guild-init");
  if (!options.pid_one) prctl(PR_SET_CHILD_SUBREAPER, 1);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_IGN); /* the kernel reaps what comes to us */
  if (!options.pid_one) signal(SIGTERM, SIG_IGN);
  offer_as_victim();
  hide();
  settle_descriptors();
  /* Walks hold a descriptor a level, executions a few each; commands get limits of their own. */
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  if (options.filter != NULL) start_filter();
  disk_start();
  lease_start();
  wire_open(options.connection);
  struct writer hello = {0};
  put_u32(&hello, PROTOCOL_VERSION);
  put_u32(&hello, (uint32_t)getpid());
  send_frame(T_HELLO, 0, hello.data, hello.length);
  writer_free(&hello);
  wire_writable();

  run_loop();

  kill_everything(lease_lapsed() ? LIMIT_LEASE : LIMIT_NONE);
  const char *reason = lease_lapsed() ? "lease" : "closed";
  send_frame(T_GONE, 0, reason, strlen(reason));
  wire_flush_blocking(500);
  return lease_lapsed() ? 75 : 0;
}
