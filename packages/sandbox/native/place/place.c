/*
 * Mounts a workspace in a sandbox that runs already, before anything of an agent's runs in it: joins the mount namespace of its init, and
 * leaves nothing anywhere else. For who has every capability over that namespace: root on the host, or whoever made the user namespace around it.
 *
 *   --uid UID --gid GID [--group TEXT] [--tool SOURCE DEST | --idmap SOURCE UID GID DEST | --tree SOURCE DEST | --pin DEST | --read DEST]…
 *
 * `--group`: refuses a process whose cgroup does not name TEXT, which is what tells a container from whoever got its number after it.
 * `--uid`, `--gid`: whom the sandbox runs as, in its own user namespace. `--tool`: SOURCE, read-only. `--idmap`: what UID and GID own on disk
 * belongs to them at DEST, made there when missing; `--tree`: the same without a mapping. `--pin`: mounted onto itself, which keeps it in its
 * place; `--read`: the same, read-only. No link is followed in the sandbox.
 */
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>


static _Noreturn void refuse(const char *what, const char *subject) {
  errno = EINVAL;
  fail(what, subject);
}

static void set_attributes(int fd, struct mount_attr attributes, bool recursive, const char *what, const char *subject) {
  unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  if (syscall(SYS_mount_setattr, fd, "", flags, &attributes, sizeof attributes) != 0) fail(what, subject);
}

/* An id of the sandbox's as the host counts it; one that is not mapped: `otherwise`, or the end. */
static long outer_id(int process, const char *map, long inner, long otherwise) {
  int fd = openat(process, map, O_RDONLY | O_CLOEXEC);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
  if (file == NULL) fail("read", map);
  long first, outer, count, found = -1;
  while (fscanf(file, "%ld %ld %ld", &first, &outer, &count) == 3)
    if (inner >= first && inner < first + count) found = outer + (inner - first);
  fclose(file);
  if (found < 0) found = otherwise;
  if (found < 0) refuse("find the sandbox's user in", map);
  return found;
}

static void check_group(int process, const char *expected) {
  char text[16384];
  int fd = openat(process, "cgroup", O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (size < 0) fail("read", "the cgroup of the sandbox");
  close(fd);
  text[size] = 0;
  if (strstr(text, expected) == NULL) refuse("recognise", "the sandbox");
}

/* Opens a path in the sandbox, link by link without following any; with `make`, directories that are missing are made. */
static int open_inside(const char *path, bool make) {
  if (path[0] != '/') refuse("reach", path);
  int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  char *copy = strdup(path + 1), *rest = copy;
  for (char *name; copy != NULL && (name = strsep(&rest, "/")) != NULL;) {
    if (*name == 0) continue;
    if (strcmp(name, "..") == 0) refuse("reach", path);
    if (make && mkdirat(at, name, 0755) != 0 && errno != EEXIST) fail("make", path);
    int next = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat found;
    if (next < 0 || fstat(next, &found) != 0) fail("reach", path);
    if (S_ISLNK(found.st_mode)) {
      errno = ELOOP;
      fail("reach", path);
    }
    close(at);
    at = next;
  }
  free(copy);
  return at;
}

static void move_to(int mount, int destination, const char *path) {
  unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  if (syscall(SYS_move_mount, mount, "", destination, "", flags) != 0) fail("mount", path);
  close(mount);
  close(destination);
}

static void onto_itself(const char *path, bool read_only) {
  int destination = open_inside(path, false);
  int mount = (int)syscall(SYS_open_tree, destination, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  if (mount < 0) fail("open", path);
  if (read_only) set_attributes(mount, (struct mount_attr){.attr_set = MOUNT_ATTR_RDONLY}, true, "protect", path);
  move_to(mount, destination, path);
}

struct place {
  enum { TOOL, TREE, MAPPED, PIN, READ } kind;
  const char *source, *destination;
  long uid, gid;
  int fd;
};

/* Opened and mapped on the host, where the source is. */
static void prepare(struct place *one, long uid, long gid) {
  one->fd = (int)syscall(SYS_open_tree, AT_FDCWD, one->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  if (one->fd < 0) fail("open", one->source);
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, .propagation = 1ul << 18 /* MS_PRIVATE */};
  if (one->kind == TOOL) attributes.attr_set |= MOUNT_ATTR_RDONLY;
  bool map = one->kind == MAPPED && (one->uid != uid || one->gid != gid);
  if (map) {
    attributes.attr_set |= MOUNT_ATTR_IDMAP;
    attributes.userns_fd = (unsigned long long)id_mapping(one->uid, one->gid, uid, gid);
  }
  set_attributes(one->fd, attributes, true, map ? "map the owner of" : "prepare", one->source);
}

void place(int process, char **option) {
  int count = 0;
  while (option[count] != NULL) count++;
  struct place *places = calloc((size_t)count + 1, sizeof *places);
  if (places == NULL) fail("hold", "the places");
  count = 0;
  long uid = -1, gid = -1;
  const char *group = NULL;
  for (; *option != NULL; option++) {
    int left = 0;
    while (left < 4 && option[left + 1] != NULL) left++;
    bool tool = strcmp(*option, "--tool") == 0;
    if (strcmp(*option, "--group") == 0 && left >= 1) group = *++option;
    else if (strcmp(*option, "--uid") == 0 && left >= 1) uid = atol(*++option);
    else if (strcmp(*option, "--gid") == 0 && left >= 1) gid = atol(*++option);
    else if (strcmp(*option, "--idmap") == 0 && left >= 4) {
      places[count++] = (struct place){.kind = MAPPED, .source = option[1], .uid = atol(option[2]), .gid = atol(option[3]), .destination = option[4]};
      option += 4;
    } else if ((tool || strcmp(*option, "--tree") == 0) && left >= 2) {
      places[count++] = (struct place){.kind = tool ? TOOL : TREE, .source = option[1], .destination = option[2]};
      option += 2;
    } else if ((strcmp(*option, "--pin") == 0 || strcmp(*option, "--read") == 0) && left >= 1) {
      places[count++] = (struct place){.kind = option[0][2] == 'p' ? PIN : READ, .destination = option[1]};
      option += 1;
    } else refuse("understand", *option);
  }
  if (process < 0 || uid < 0 || gid < 0) refuse("find", "--pid, --uid or --gid");
  if (group != NULL) check_group(process, group);
  uid = outer_id(process, "uid_map", uid, -1);
  gid = outer_id(process, "gid_map", gid, -1);
  int namespace = openat(process, "ns/mnt", O_RDONLY | O_CLOEXEC);
  if (namespace < 0) fail("open", "the mount namespace of the sandbox");
  for (int i = 0; i < count; i++)
    if (places[i].kind < PIN) prepare(&places[i], uid, gid);

  /* Where the sandbox's users are others outside, its file systems know no files of ours: mount points are made as its own root. */
  if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) != 0) fail("keep", "capabilities");
  setfsgid((gid_t)outer_id(process, "gid_map", 0, gid));
  setfsuid((uid_t)outer_id(process, "uid_map", 0, uid));
  if (setns(namespace, CLONE_NEWNS) != 0) fail("join", "the mount namespace of the sandbox");
  umask(0);
  /* Mount points are made in the sandbox's own root, which is read-only but for this moment. */
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  set_attributes(root, (struct mount_attr){.attr_clr = MOUNT_ATTR_RDONLY}, false, "open", "the sandbox's root");
  for (int i = 0; i < count; i++)
    if (places[i].kind < PIN) {
      /* Held open, so that the next one may lie within. */
      int destination = open_inside(places[i].destination, true);
      move_to(places[i].fd, destination, places[i].destination);
    }
  set_attributes(root, (struct mount_attr){.attr_set = MOUNT_ATTR_RDONLY}, false, "close", "the sandbox's root");
  for (int i = 0; i < count; i++)
    if (places[i].kind >= PIN) onto_itself(places[i].destination, places[i].kind == READ);
  free(places);
}
