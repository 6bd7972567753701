/* Executions: starting them under a keeper, their limits, signals and end. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FLAG_TERMINAL = 1, FLAG_INPUT = 2, FLAG_CONTROL = 4, FLAG_DETACHED = 8 };

/* A lower bound that is already there stays: it cannot be raised, and need not be. */
static void set_limit(int resource, struct rlimit *limit, bool *set, uint64_t soft, uint64_t hard) {
  struct rlimit now;
  *set = soft != 0;
  if (!*set || getrlimit((__rlimit_resource_t)resource, &now) != 0) return;
  limit->rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
  limit->rlim_max = hard < now.rlim_max ? hard : now.rlim_max;
}

static char **read_strings(struct reader *reader) {
  uint32_t count = read_u32(reader);
  if (reader->bad || count > (uint32_t)(reader->end - reader->at)) {
    reader->bad = true;
    count = 0;
  }
  char **strings = must(calloc(count + 1, sizeof *strings));
  for (uint32_t i = 0; i < count; i++) strings[i] = read_string(reader);
  return strings;
}

static void report_exit(struct process *process, int status, uint64_t cpu_us, uint64_t rss_bytes) {
  if (process->exited) return;
  process->exited = true;
  uint32_t signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0;
  if (process->limit == LIMIT_NONE && lease_lapsed()) process->limit = LIMIT_LEASE;
  if (process->limit == LIMIT_NONE && signal == SIGXCPU) process->limit = LIMIT_CPU;
  if (process->limit == LIMIT_NONE && signal == SIGXFSZ) process->limit = LIMIT_FILE;
  struct writer out = {0};
  put_u32(&out, WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : UINT32_MAX);
  put_u32(&out, signal);
  put_u8(&out, process->limit);
  put_u64(&out, cpu_us);
  put_u64(&out, rss_bytes);
  send_frame(T_EXIT, process->channel->id, out.data, out.length);
  writer_free(&out);
}

static bool is_keeper(pid_t pid) {
  for (struct channel *channel = channels; channel != NULL; channel = channel->next)
    if (channel->is_process && channel->process->keeper == pid && !channel->process->gone) return true;
  return false;
}

bool process_is_ours(pid_t pid) {
  if (is_keeper(pid)) return true;
  pid_t parent = tree_parent(pid);
  for (struct channel *channel = channels; channel != NULL; channel = channel->next)
    if (channel->is_process && channel->process->keeper == parent && !channel->process->started) return true;
  return false;
}

static void kill_stray(pid_t pid, void *context) {
  (void)context;
  if (!is_keeper(pid) && !is_keeper(getpgid(pid))) kill(pid, SIGKILL);
}

static void on_gone(struct process *process) {
  process->gone = true;
  source_close(&process->status);
  if (!process->started) {
    reply(process->channel->id, EAGAIN, NULL);
    process->channel->discard = true;
    channel_free(process->channel);
    free_later(process);
    return;
  }
  if (!process->exited) {
    /* Somebody killed the keeper: what it kept has come to us. */
    report_exit(process, SIGKILL, 0, 0);
    if (channels != NULL && channels->next == NULL) tree_visit(getpid(), kill_stray, NULL);
  }
  process_maybe_free(process);
}

static void on_status(struct source *source, uint32_t events) {
  (void)events;
  struct process *process = NULL;
  for (struct channel *channel = channels; channel != NULL && process == NULL; channel = channel->next)
    if (channel->is_process && &channel->process->status == source) process = channel->process;
  if (process == NULL) return;
  struct status_message message;
  ssize_t n = read(source->fd, &message, sizeof message);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n != sizeof message) {
    on_gone(process);
    return;
  }
  struct channel *channel = process->channel;
  if (message.kind == STATUS_STARTED) {
    process->started = true;
    process->pid = message.value;
    struct writer out = {0};
    put_u32(&out, (uint32_t)process->pid);
    reply(channel->id, 0, &out);
  } else if (message.kind == STATUS_FAILED) {
    reply(channel->id, message.value, NULL);
    source_close(&process->status);
    channel->discard = true;
    channel_free(channel);
    free_later(process);
  } else
    report_exit(process, message.value, message.cpu_us, message.rss_bytes);
}

/* Opens both ends close-on-exec; ours does not block. */
static bool open_pipe(int *ours, int *theirs, bool we_write) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  *ours = ends[we_write ? 1 : 0];
  *theirs = ends[we_write ? 0 : 1];
  fcntl(*ours, F_SETFL, O_NONBLOCK);
  return true;
}

static int open_terminal(int *slave, uint16_t rows, uint16_t columns) {
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (master < 0) return -1;
  if (unlockpt(master) != 0 || (*slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
    int error = errno;
    close(master);
    errno = error;
    return -1;
  }
  struct winsize size = {.ws_row = rows, .ws_col = columns};
  ioctl(master, TIOCSWINSZ, &size);
  return master;
}

void process_start(uint32_t id, struct reader *reader) {
  uint32_t flags = read_u32(reader), window = read_u32(reader);
  uint16_t rows = read_u16(reader), columns = read_u16(reader);
  uint64_t cpu_ms = read_u64(reader), wall_ms = read_u64(reader), file_bytes = read_u64(reader), open_files = read_u64(reader);
  struct start_plan plan = {.in = -1, .out = -1, .err = -1, .control = -1, .terminal = -1};
  plan.cwd = read_string(reader);
  plan.argv = read_strings(reader);
  plan.env = read_strings(reader);
  int our_in = -1, our_out = -1, our_err = -1, our_control = -1, status = -1, status_theirs = -1;
  int error = 0;
  if (reader->bad || plan.argv[0] == NULL || channel_find(id) != NULL) {
    error = EINVAL;
    goto out;
  }
  set_limit(RLIMIT_CPU, &plan.cpu.value, &plan.cpu.set, cpu_ms == 0 ? 0 : (cpu_ms + 999) / 1000, (cpu_ms + 999) / 1000 + 1);
  set_limit(RLIMIT_FSIZE, &plan.file.value, &plan.file.set, file_bytes, file_bytes);
  set_limit(RLIMIT_NOFILE, &plan.files.value, &plan.files.set, open_files, open_files);
  set_limit(RLIMIT_DATA, &plan.data.value, &plan.data.set, options.data_bytes, options.data_bytes);
  set_limit(RLIMIT_NPROC, &plan.processes.value, &plan.processes.set, options.processes, options.processes);

  if ((flags & FLAG_TERMINAL) != 0) {
    our_out = open_terminal(&plan.terminal, rows, columns);
    if (our_out < 0 || (our_in = fcntl(our_out, F_DUPFD_CLOEXEC, 4)) < 0) error = errno;
  } else {
    if ((flags & FLAG_INPUT) != 0) {
      if (!open_pipe(&our_in, &plan.in, true)) error = errno;
    } else if ((plan.in = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
      error = errno;
    if (error == 0 && (!open_pipe(&our_out, &plan.out, false) || !open_pipe(&our_err, &plan.err, false))) error = errno;
  }
  if (error == 0 && (flags & FLAG_CONTROL) != 0 && !open_pipe(&our_control, &plan.control, false)) error = errno;
  if (error == 0 && !open_pipe(&status, &status_theirs, false)) error = errno;
  pid_t keeper = -1;
  if (error == 0) {
    keeper = fork();
    if (keeper == 0) keeper_run(&plan, status_theirs);
    if (keeper < 0) error = errno;
  }
  if (error != 0) goto out;

  struct channel *channel = channel_new(id, window);
  struct process *process = must(calloc(1, sizeof *process));
  channel->is_process = true;
  channel->process = process;
  channel->terminal = (flags & FLAG_TERMINAL) != 0;
  process->channel = channel;
  process->keeper = keeper;
  process->detached = (flags & FLAG_DETACHED) != 0;
  process->wall_deadline = wall_ms == 0 ? UINT64_MAX : now_ms() + wall_ms;
  process->cpu_limit_ms = cpu_ms;
  process->next_cpu_check = cpu_ms == 0 ? UINT64_MAX : now_ms() + cpu_ms / 64 + 20;
  source_open(&process->status, status, EPOLLIN, on_status);
  if (our_in >= 0) channel_input(channel, our_in);
  channel_output(channel, STREAM_OUT, our_out);
  if (our_err >= 0) channel_output(channel, STREAM_ERR, our_err);
  if (our_control >= 0) channel_output(channel, STREAM_CONTROL, our_control);
  our_in = our_out = our_err = our_control = status = -1;

out:
  if (error != 0) reply(id, error, NULL);
  int descriptors[] = {our_in,  our_out,  our_err,  our_control,  status,       status_theirs,
                       plan.in, plan.out, plan.err, plan.control, plan.terminal};
  for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
    if (descriptors[i] >= 0) close(descriptors[i]);
  free(plan.argv);
  free(plan.env);
}

static struct process *find(uint32_t id) {
  struct channel *channel = channel_find(id);
  return channel != NULL && channel->is_process ? channel->process : NULL;
}

void process_signal(uint32_t request, struct reader *reader) {
  struct process *process = find(read_u32(reader));
  int signal = (int)read_u32(reader);
  uint8_t to = read_u8(reader);
  if (process == NULL || !process->started || process->gone) {
    reply(request, ESRCH, NULL);
    return;
  }
  pid_t group = process->pid;
  if (to == 0 && process->channel->terminal && process->channel->out[STREAM_OUT].fd >= 0) {
    pid_t foreground = 0;
    if (ioctl(process->channel->out[STREAM_OUT].fd, TIOCGPGRP, &foreground) == 0 && foreground > 0) group = foreground;
  }
  int error = 0;
  if (to == 2) error = tree_kill(process->keeper, signal) > 0 ? 0 : ESRCH;
  else if (kill(-group, signal) != 0) error = errno;
  reply(request, error, NULL);
}

void process_resize(uint32_t request, struct reader *reader) {
  struct process *process = find(read_u32(reader));
  struct winsize size = {.ws_row = read_u16(reader), .ws_col = read_u16(reader)};
  int error = process == NULL ? ESRCH : 0;
  if (error == 0 && !process->channel->terminal) error = ENOTTY;
  if (error == 0 && ioctl(process->channel->out[STREAM_OUT].fd, TIOCSWINSZ, &size) != 0) error = errno;
  reply(request, error, NULL);
}

void process_kill(struct process *process, uint8_t limit) {
  if (process->limit == LIMIT_NONE && !process->exited) process->limit = limit;
  process->dying = true;
  process->next_kill = 0;
  wake_at(0);
}

void process_close(uint32_t request, struct reader *reader) {
  uint32_t id = read_u32(reader);
  struct channel *channel = channel_find(id);
  if (channel == NULL) {
    reply(request, 0, NULL);
    return;
  }
  if (!channel->is_process) {
    channel->discard = true;
    channel_free(channel);
    reply(request, 0, NULL);
    return;
  }
  struct process *process = channel->process;
  channel_discard(channel);
  if (process->detached) {
    reply(request, 0, NULL);
    process_maybe_free(process);
    return;
  }
  process->close_wanted = true;
  process->close_request = request;
  if (!process->gone) process_kill(process, LIMIT_NONE);
  process_maybe_free(process);
}

void process_maybe_free(struct process *process) {
  if (!process->gone || !process->started) return;
  if (!process->channel->ended && !process->close_wanted) return;
  if (process->close_wanted) reply(process->close_request, 0, NULL);
  channel_free(process->channel);
  free_later(process);
}

static void check_cpu(struct process *process, uint64_t now) {
  struct tree_sum sum;
  tree_measure(process->keeper, &sum);
  if (sum.cpu_ms >= process->cpu_limit_ms) {
    process->next_cpu_check = UINT64_MAX;
    process_kill(process, LIMIT_CPU);
    return;
  }
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  uint64_t soonest = (process->cpu_limit_ms - sum.cpu_ms) / (uint64_t)(cpus < 1 ? 1 : cpus);
  process->next_cpu_check = now + (soonest < 20 ? 20 : soonest);
}

void process_turn(uint64_t now) {
  for (struct channel *channel = channels; channel != NULL; channel = channel->next) {
    struct process *process = channel->is_process ? channel->process : NULL;
    if (process == NULL || process->gone || !process->started) continue;
    if (now >= process->wall_deadline) {
      process->wall_deadline = UINT64_MAX;
      process_kill(process, LIMIT_WALL);
    }
    if (now >= process->next_cpu_check && !process->exited) check_cpu(process, now);
    if (process->dying && now >= process->next_kill) {
      tree_kill(process->keeper, SIGKILL);
      process->next_kill = now + 3;
    }
    wake_at(process->wall_deadline);
    if (!process->exited) wake_at(process->next_cpu_check);
    if (process->dying) wake_at(process->next_kill);
  }
}

void kill_all(void) {
  for (int round = 0; round < 4000; round++) {
    int killed;
    if (options.pid_one) killed = kill(-1, SIGKILL) == 0;
    else killed = tree_kill(getpid(), SIGKILL);
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) > 0) {
    }
    if (killed == 0 && (ended < 0 || !options.pid_one)) break;
    usleep(500);
  }
}

void kill_everything(uint8_t limit) {
  kill_all();
  for (struct channel *channel = channels; channel != NULL; channel = channel->next) {
    if (!channel->is_process || !channel->process->started || channel->process->exited) continue;
    if (channel->process->limit == LIMIT_NONE) channel->process->limit = limit;
    report_exit(channel->process, SIGKILL, 0, 0);
  }
}
