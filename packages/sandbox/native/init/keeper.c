/*
 * The parent of one execution, in a process of its own. As a subreaper it keeps everything that descends from the command
 * beneath itself, daemons included, so that “all of it” can be found and killed; it ends when nothing of it is left.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static volatile sig_atomic_t told_to_end;

static void on_term(int signal) {
  (void)signal;
  told_to_end = 1;
}

static void tell(int fd, int kind, int value, const struct rusage *usage) {
  struct status_message message = {.kind = kind, .value = value};
  if (usage != NULL) {
    message.cpu_us = (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
                     (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
    message.rss_bytes = (uint64_t)usage->ru_maxrss * 1024;
  }
  ssize_t n;
  do n = write(fd, &message, sizeof message);
  while (n < 0 && errno == EINTR);
}

/*
 * Where what processes hold is counted, none hides its descriptors from us by declaring itself private: the call succeeds and does nothing. A refusal
 * would end programs that insist on it, such as agents for keys.
 */
static void stay_visible(void) {
  static struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_DUMPABLE, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {.len = sizeof program / sizeof *program, .filter = program};
  if (options.pid_one && (options.disk_bytes != 0 || options.disk_files != 0)) syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

/* Runs between vfork and exec: shares memory with the keeper, must not return. */
static int become(const struct start_plan *plan) {
  setsid();
  if (plan->terminal >= 0) {
    if (ioctl(plan->terminal, TIOCSCTTY, 0) != 0) return errno;
    for (int fd = 0; fd < 3; fd++)
      if (dup2(plan->terminal, fd) < 0) return errno;
  } else if (dup2(plan->in, 0) < 0 || dup2(plan->out, 1) < 0 || dup2(plan->err, 2) < 0)
    return errno;
  if (plan->control >= 0 && dup2(plan->control, 3) < 0) return errno;
  if (plan->file.set && setrlimit(RLIMIT_FSIZE, &plan->file.value) != 0) return errno;
  if (plan->files.set && setrlimit(RLIMIT_NOFILE, &plan->files.value) != 0) return errno;
  if (plan->cpu.set && setrlimit(RLIMIT_CPU, &plan->cpu.value) != 0) return errno;
  if (plan->data.set && setrlimit(RLIMIT_DATA, &plan->data.value) != 0) return errno;
  if (plan->processes.set && setrlimit(RLIMIT_NPROC, &plan->processes.value) != 0) return errno;
  if (chdir(plan->cwd) != 0) return errno;
  stay_visible();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  environ = plan->env;
  execvp(plan->argv[0], plan->argv);
  return errno;
}

_Noreturn void keeper_run(const struct start_plan *plan, int status_fd) {
  prctl(PR_SET_NAME, "guild-keeper");
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  for (int number = 1; number < 65; number++)
    if (number != SIGKILL && number != SIGSTOP) signal(number, SIG_DFL);
  struct sigaction action = {.sa_handler = on_term};
  sigaction(SIGTERM, &action, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);

  volatile int failure = 0;
  pid_t pid = vfork();
  if (pid == 0) {
    failure = become(plan);
    _exit(127);
  }
  if (pid < 0) failure = errno;
  if (failure != 0) {
    tell(status_fd, STATUS_FAILED, failure, NULL);
    _exit(0);
  }
  tell(status_fd, STATUS_STARTED, pid, NULL);
  dup3(status_fd, 3, O_CLOEXEC);
  close_range(0, 2, 0);
  close_range(4, ~0u, 0);

  for (;;) {
    if (told_to_end) {
      while (tree_kill(getpid(), SIGKILL) > 0) usleep(500);
      told_to_end = 0;
    }
    int status;
    struct rusage usage;
    pid_t ended = wait4(-1, &status, 0, &usage);
    if (ended < 0 && errno == EINTR) continue;
    if (ended < 0) break;
    if (ended == pid) tell(3, STATUS_EXITED, status, &usage);
  }
  _exit(0);
}
