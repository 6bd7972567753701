/* Mappings of ids for mounts. */
#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

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

int id_mapping(long disk_uid, long disk_gid, long uid, long gid) {
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
