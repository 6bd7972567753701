/* Mounts for the sandbox, made by root where only this process and its children see them. */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* <sys/mount.h> and <linux/mount.h> of one release do not go together. */
int mount(const char *, const char *, const char *, unsigned long, const void *);
#define MOUNT_PRIVATE (1ul << 18)
#define MOUNT_RECURSIVE 16384ul

#define PLACE "/run/guildhall-host"

static void write_map(pid_t pid, const char *file, long first, long second) {
  /* All ids stand for themselves but these two, which change places. */
  long low = first < second ? first : second, high = first < second ? second : first;
  char path[64], text[512];
  size_t length = 0;
  if (low > 0) length += (size_t)snprintf(text + length, sizeof text - length, "0 0 %ld\n", low);
  length += (size_t)snprintf(text + length, sizeof text - length, "%ld %ld 1\n", low, high);
  if (high > low + 1) length += (size_t)snprintf(text + length, sizeof text - length, "%ld %ld %ld\n", low + 1, low + 1, high - low - 1);
  length += (size_t)snprintf(text + length, sizeof text - length, "%ld %ld 1\n", high, low);
  length += (size_t)snprintf(text + length, sizeof text - length, "%ld %ld %ld\n", high + 1, high + 1, 4294967294 - high);
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, length) != (ssize_t)length) fail("write", path);
  close(fd);
}

/* A user namespace that exists only as the description of a mapping. */
static int mapping(long disk_uid, long disk_gid, long uid, long gid) {
  int ready[2], done[2];
  if (pipe2(ready, O_CLOEXEC) != 0 || pipe2(done, O_CLOEXEC) != 0) fail("open", "a pipe");
  pid_t pid = fork();
  if (pid < 0) fail("start", "a process");
  if (pid == 0) {
    char byte = 0;
    close(done[1]);
    if (unshare(CLONE_NEWUSER) != 0 || write(ready[1], &byte, 1) != 1) _exit(1);
    if (read(done[0], &byte, 1) < 0) _exit(1);
    _exit(0);
  }
  close(ready[1]);
  close(done[0]);
  char byte;
  if (read(ready[0], &byte, 1) != 1) {
    errno = EPERM;
    fail("create", "a user namespace");
  }
  write_map(pid, "uid_map", disk_uid, uid);
  write_map(pid, "gid_map", disk_gid, gid);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("open", path);
  close(ready[0]);
  close(done[1]);
  waitpid(pid, NULL, 0);
  return fd;
}

static void set_up(const struct plan *plan, struct prepared *one) {
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
  bool map_uid = one->map && (one->uid != plan->uid || one->gid != plan->gid);
  int userns = -1;
  if (map_uid) {
    userns = mapping(one->uid, one->gid, plan->uid, plan->gid);
    attributes.attr_set |= MOUNT_ATTR_IDMAP;
    attributes.userns_fd = (unsigned long long)userns;
  }
  if (!one->map) attributes.attr_set |= MOUNT_ATTR_RDONLY;
  if (syscall(SYS_mount_setattr, one->fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0)
    fail(map_uid ? "map the owner of" : "prepare", one->source);
  if (userns >= 0) close(userns);
  char path[256];
  snprintf(path, sizeof path, PLACE "/%s", one->name);
  if (one->directory ? mkdir(path, 0755) != 0 : mknod(path, S_IFREG | 0644, 0) != 0) fail("create", path);
  if (syscall(SYS_move_mount, one->fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) != 0) fail("mount", path);
  close(one->fd);
}

void prepare_mounts(struct plan *plan) {
  if (unshare(CLONE_NEWNS) != 0) fail("create", "a mount namespace");
  if (mount(NULL, "/", NULL, MOUNT_PRIVATE | MOUNT_RECURSIVE, NULL) != 0) fail("make private", "the mounts");
  /* Opened before /run is covered: what is wanted may lie there. */
  for (int i = 0; i < plan->count; i++) {
    struct stat stat;
    plan->mount[i].fd = (int)syscall(SYS_open_tree, AT_FDCWD, plan->mount[i].source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (plan->mount[i].fd < 0 || fstat(plan->mount[i].fd, &stat) != 0) fail("open", plan->mount[i].source);
    plan->mount[i].directory = S_ISDIR(stat.st_mode);
  }
  if (mount("guildhall", "/run", "tmpfs", 0, "mode=755,size=256k") != 0) fail("mount", "/run");
  if (mkdir(PLACE, 0755) != 0) fail("create", PLACE);
  for (int i = 0; i < plan->count; i++) set_up(plan, &plan->mount[i]);
}
