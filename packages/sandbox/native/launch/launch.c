/*
 * Started by the host just before bubblewrap: joins cgroups, prepares mounts that need root in a mount namespace of its own
 * (nothing is left on the host when it ends), gives up every privilege, and becomes the program named after `--`.
 *
 *   launch [--placer FD [--own-namespace]] [--cgroup DIR]… [--mounts [--idmap SOURCE UID GID NAME]… [--bind SOURCE NAME]…] [--uid UID --gid GID] -- PROGRAM ARG…
 *
 * Mounts come to stand at /run/guildhall-host/NAME. `--idmap`: what UID and GID own on disk belongs to --uid and --gid there,
 * and the other way round; new files are owned by UID and GID on disk.
 *
 * `--placer`: leaves a process outside that puts the workspace into the sandbox later, as it is told at the socket FD (place/place.h). PROGRAM has
 * a pipe to it in the same place, for bubblewrap's --info-fd. `--own-namespace`: both are in a user namespace in which they are who they were, and in
 * which the placer has the capabilities that an ordinary user lacks; PROGRAM has none.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../place/place.h"

_Noreturn void fail(const char *what, const char *subject) {
  fprintf(stderr, "launch: cannot %s %s: %s\n", what, subject, strerror(errno));
  exit(71);
}

static void join(const char *cgroup) {
  char path[4096];
  snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, "0", 1) != 1) fail("join the cgroup", cgroup);
  close(fd);
}

static void drop(uid_t uid, gid_t gid) {
  for (int capability = 0; capability < 64; capability++)
    if (prctl(PR_CAPBSET_READ, capability) == 1 && prctl(PR_CAPBSET_DROP, capability) != 0) fail("drop", "capabilities");
  if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) fail("become the user of", "sandboxes");
  if (setuid(0) == 0 || geteuid() == 0) {
    errno = EPERM;
    fail("give up", "root");
  }
}

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) fail("write", path);
  close(fd);
}

static void enter_own_namespace(void) {
  char uid[64], gid[64];
  snprintf(uid, sizeof uid, "%d %d 1\n", geteuid(), geteuid());
  snprintf(gid, sizeof gid, "%d %d 1\n", getegid(), getegid());
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) fail("create", "a user namespace");
  put("/proc/self/setgroups", "deny");
  put("/proc/self/uid_map", uid);
  put("/proc/self/gid_map", gid);
}

/* Before any cgroup is joined or anything is given up: it is not a part of the sandbox. */
static void leave_placer(int socket) {
  int info[2];
  if (pipe2(info, O_CLOEXEC) != 0) fail("open", "a pipe");
  pid_t pid = fork();
  if (pid < 0) fail("start", "the placer");
  if (pid == 0) place_when_asked(socket, info[0]);
  if (dup2(info[1], socket) != socket) fail("open", "the way to the placer");
}

int main(int argc, char **argv) {
  struct plan plan = {.uid = -1, .gid = -1};
  int at = 1;
  if (argc > 3 && strcmp(argv[1], "--placer") == 0) {
    at = 3;
    if (strcmp(argv[3], "--own-namespace") == 0) {
      enter_own_namespace();
      at = 4;
    }
    leave_placer(atoi(argv[2]));
  }
  for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
    char **option = &argv[at];
    int left = argc - at - 1;
    if (strcmp(*option, "--cgroup") == 0 && left >= 1) {
      join(option[1]);
      at += 1;
    } else if (strcmp(*option, "--mounts") == 0) plan.mounts = true;
    else if (strcmp(*option, "--uid") == 0 && left >= 1) plan.uid = atol(argv[++at]);
    else if (strcmp(*option, "--gid") == 0 && left >= 1) plan.gid = atol(argv[++at]);
    else if (strcmp(*option, "--idmap") == 0 && left >= 4 && plan.count < MOST_MOUNTS) {
      plan.mount[plan.count++] = (struct prepared){.source = option[1], .uid = atol(option[2]), .gid = atol(option[3]), .name = option[4], .map = true};
      at += 4;
    } else if (strcmp(*option, "--bind") == 0 && left >= 2 && plan.count < MOST_MOUNTS) {
      plan.mount[plan.count++] = (struct prepared){.source = option[1], .name = option[2]};
      at += 2;
    } else {
      errno = EINVAL;
      fail("understand", *option);
    }
  }
  if (at + 1 >= argc) {
    errno = EINVAL;
    fail("find", "a program");
  }
  if (plan.mounts) prepare_mounts(&plan);
  if (plan.uid > 0 && plan.gid > 0) drop((uid_t)plan.uid, (gid_t)plan.gid);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("give up", "new privileges");
  execv(argv[at + 1], argv + at + 1);
  fail("start", argv[at + 1]);
}
