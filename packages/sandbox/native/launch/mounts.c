/* Mounts for the sandbox, made by root where only this process and its children see them. */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* <sys/mount.h> and <linux/mount.h> of one release do not go together. */
int mount(const char *, const char *, const char *, unsigned long, const void *);
#define MOUNT_PRIVATE (1ul << 18)
#define MOUNT_RECURSIVE 16384ul

#define PLACE "/run/guildhall-host"

static void set_up(const struct plan *plan, struct prepared *one) {
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
  bool map_uid = one->map && (one->uid != plan->uid || one->gid != plan->gid);
  int userns = -1;
  if (map_uid) {
    userns = id_mapping(one->uid, one->gid, plan->uid, plan->gid);
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
