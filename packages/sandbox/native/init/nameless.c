/*
 * Files of the workspace's file system that have no name any more, or never had one: they live as long as somebody holds them. Of what a process
 * holds tell its descriptors, and then what it runs or has mapped. One that hides them is ended; of descriptors that are under way between two
 * processes nothing is known.
 */
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEEN 4096 /* a power of two */

/* Descriptors that are under way for so many looks were put there to stay. */
#define PARKED_LOOKS 3

/* Who hid at the last look and at this one. A command hides for a moment while it becomes its program, and is not to be ended for that. */
#define SUSPECTS 64
static pid_t suspects[2][SUSPECTS];
static unsigned suspect_count[2], looks;

static ino_t seen[SEEN];
static size_t seen_count;
static unsigned looks_with_parked;

struct search {
  struct own_use *use;
  dev_t device;
  bool parked;
};

/* True: counted before. */
static bool known(ino_t inode) {
  for (size_t at = (size_t)inode & (SEEN - 1);; at = (at + 1) & (SEEN - 1)) {
    if (seen[at] == inode) return true;
    if (seen[at] != 0) continue;
    seen[at] = inode;
    seen_count++;
    return false;
  }
}

/* True: it was not counted before, and is from now on. */
static bool fresh(ino_t inode, struct own_use *use) {
  if (seen_count < SEEN / 2) return !known(inode);
  use->closed++;
  return false;
}

/* True: it hid at the last look already. */
static bool still_hides(pid_t pid) {
  unsigned now = looks & 1, last = now ^ 1;
  for (unsigned at = 0; at < suspect_count[last]; at++)
    if (suspects[last][at] == pid) return true;
  if (suspect_count[now] == SUSPECTS) return true;
  suspects[now][suspect_count[now]++] = pid;
  return false;
}

static bool has_parked(pid_t pid, const char *descriptor) {
  char path[320], text[512];
  snprintf(path, sizeof path, "/proc/%d/fdinfo/%s", (int)pid, descriptor);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return false;
  text[n] = 0;
  char *at = strstr(text, "scm_fds:");
  return at != NULL && strtoul(at + strlen("scm_fds:"), NULL, 10) > 0;
}

static void add_held(pid_t pid, void *context) {
  struct search *search = context;
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
  DIR *directory = opendir(path);
  struct dirent *entry;
  bool hidden = directory == NULL && errno == EACCES;
  while (directory != NULL && (entry = readdir(directory)) != NULL) {
    struct stat stat;
    if (entry->d_name[0] == '.') continue;
    if (fstatat(dirfd(directory), entry->d_name, &stat, 0) != 0) {
      hidden |= errno == EACCES;
      continue;
    }
    if (S_ISSOCK(stat.st_mode) && has_parked(pid, entry->d_name)) search->parked = true;
    if (!S_ISREG(stat.st_mode) || stat.st_nlink != 0 || stat.st_dev != search->device) continue;
    if (!fresh(stat.st_ino, search->use)) continue;
    search->use->bytes += (uint64_t)stat.st_blocks * 512;
    search->use->files++;
  }
  if (directory != NULL) closedir(directory);
  if (!hidden || process_is_ours(pid) || !still_hides(pid)) return;
  search->use->hidden++;
  /* By running a program that it may not read: nothing but our count is to be gained by that. */
  if (options.pid_one) kill(pid, SIGKILL);
}

static void add_mapped(pid_t pid, void *context) {
  struct search *search = context;
  mapped_held(pid, search->device, fresh, search->use);
}

void nameless_held(struct own_use *use) {
  struct stat stat;
  if (fstatat(AT_FDCWD, options.workspace, &stat, 0) != 0) return;
  struct search search = {.use = use, .device = stat.st_dev};
  looks++;
  suspect_count[looks & 1] = 0;
  memset(seen, 0, sizeof seen);
  seen_count = 0;
  tree_visit(getpid(), add_held, &search);
  /* Descriptors tell more, so they come first. */
  mapped_begin();
  tree_visit(getpid(), add_mapped, &search);
  looks_with_parked = search.parked ? looks_with_parked + 1 : 0;
  if (looks_with_parked >= PARKED_LOOKS) use->closed++;
}
