/*
 * What the sandbox itself has written to the file system of its workspace, and what its workspace holds, whatever others do to that file system
 * meanwhile. The first is cheap and too much rather than too little; the second costs a look at every file.
 */
#include "init.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEEN 8192 /* a power of two */
#define DEEPEST 200

static struct {
  pid_t pid;
  uint64_t bytes;
} seen[SEEN];
static uint64_t total;

static void add_written(pid_t pid, void *context) {
  (void)context;
  uint64_t bytes = process_stored_bytes(pid);
  size_t at = (size_t)pid & (SEEN - 1);
  /* What a process was when its place was another's counts once more, and so does what its parent takes over when it ends. */
  uint64_t before = seen[at].pid == pid && seen[at].bytes <= bytes ? seen[at].bytes : 0;
  seen[at].pid = pid;
  seen[at].bytes = bytes;
  total += bytes - before;
}

uint64_t own_written(void) {
  add_written(getpid(), NULL);
  tree_visit(getpid(), add_written, NULL);
  return total;
}

static void walk(int fd, int depth, struct own_use *use) {
  DIR *directory = fdopendir(fd);
  if (directory == NULL) {
    close(fd);
    use->closed++;
    return;
  }
  struct dirent *entry;
  while ((entry = readdir(directory)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    struct stat stat;
    if (fstatat(fd, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) != 0) continue; /* gone again */
    /* A file of several names is met at each. */
    use->bytes += (uint64_t)stat.st_blocks * 512 / (S_ISDIR(stat.st_mode) || stat.st_nlink == 0 ? 1 : (uint64_t)stat.st_nlink);
    use->files++;
    if (!S_ISDIR(stat.st_mode)) continue;
    int below = depth < DEEPEST ? openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (below >= 0) walk(below, depth + 1, use);
    else use->closed++;
  }
  closedir(directory);
}

void own_held(struct own_use *use) {
  *use = (struct own_use){0};
  int fd = open(options.workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) walk(fd, 0, use);
  else use->closed++;
  nameless_held(use);
}

uint64_t own_last_process(void) {
  char text[128];
  int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (n <= 0) return 0;
  text[n] = 0;
  char *last = strrchr(text, ' ');
  return last == NULL ? 0 : strtoull(last, NULL, 10);
}
