/*
 * What changed in directories that the caller named, and in files with several names, whichever of them was used. The kernel queues an event before the call that caused it returns, so
 * reading the queue empty at the time of asking tells everything that happened before.
 */
#include "init.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#define MOST_PATHS 16384
#define MASK                                                                                                                    \
  (IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | \
   IN_DONT_FOLLOW | IN_EXCL_UNLINK)

static struct source inotify = {.fd = -1};
static bool overflow, lasting_overflow;

/* Watch descriptors are small and dense: an array from them to paths. */
static char **watched;
static size_t watched_capacity;

static char **touched; /* open-addressed set of relative paths */
static size_t touched_count, touched_capacity;

static uint64_t hash(const char *text) {
  uint64_t value = 14695981039346656037u;
  for (; *text != 0; text++) value = (value ^ (uint8_t)*text) * 1099511628211u;
  return value;
}

static void insert(char *path) {
  size_t at = hash(path) & (touched_capacity - 1);
  while (touched[at] != NULL) at = (at + 1) & (touched_capacity - 1);
  touched[at] = path;
}

static void touch(const char *directory, const char *name) {
  if (overflow) return;
  if (touched_count * 2 >= touched_capacity) {
    size_t old_capacity = touched_capacity;
    char **old = touched;
    touched_capacity = old_capacity == 0 ? 256 : old_capacity * 2;
    touched = must(calloc(touched_capacity, sizeof *touched));
    for (size_t i = 0; i < old_capacity; i++)
      if (old[i] != NULL) insert(old[i]);
    free(old);
  }
  char path[PATH_MAX + NAME_MAX + 2];
  if (directory[0] == 0 || name[0] == 0) snprintf(path, sizeof path, "%s%s", directory, name);
  else snprintf(path, sizeof path, "%s/%s", directory, name);
  size_t at = hash(path) & (touched_capacity - 1);
  for (; touched[at] != NULL; at = (at + 1) & (touched_capacity - 1))
    if (strcmp(touched[at], path) == 0) return;
  touched[at] = must(strdup(path));
  if (++touched_count > MOST_PATHS) overflow = true;
}

static void forget_below(const char *path) {
  size_t length = strlen(path);
  for (size_t wd = 0; wd < watched_capacity; wd++) {
    if (watched[wd] == NULL || strncmp(watched[wd], path, length) != 0) continue;
    if (watched[wd][length] != 0 && watched[wd][length] != '/') continue;
    inotify_rm_watch(inotify.fd, (int)wd);
    free(watched[wd]);
    watched[wd] = NULL;
  }
}

static void drain(void) {
  char buffer[64 << 10] __attribute__((aligned(8)));
  for (;;) {
    ssize_t n = read(inotify.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    for (ssize_t at = 0; at < n;) {
      struct inotify_event *event = (struct inotify_event *)(void *)(buffer + at);
      at += (ssize_t)(sizeof *event + event->len);
      if ((event->mask & IN_Q_OVERFLOW) != 0) {
        overflow = true;
        continue;
      }
      if (event->wd < 0 || (size_t)event->wd >= watched_capacity || watched[event->wd] == NULL) continue;
      if ((event->mask & IN_IGNORED) != 0) {
        free(watched[event->wd]);
        watched[event->wd] = NULL;
        continue;
      }
      touch(watched[event->wd], event->len > 0 ? event->name : "");
      if ((event->mask & IN_MOVE_SELF) != 0) {
        char moved[PATH_MAX];
        snprintf(moved, sizeof moved, "%s", watched[event->wd]);
        if (moved[0] != 0) forget_below(moved);
      }
    }
  }
}

static void on_inotify(struct source *source, uint32_t events) {
  (void)source;
  (void)events;
  drain();
}

void change_track(uint32_t id, struct reader *reader) {
  uint32_t count = read_u32(reader);
  if (inotify.fd < 0 && !lasting_overflow) {
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) lasting_overflow = true; /* this user has too many: the caller looks at everything instead */
    else source_open(&inotify, fd, EPOLLIN, on_inotify);
  }
  for (uint32_t i = 0; i < count && !reader->bad; i++) {
    const char *path = read_string(reader);
    if (reader->bad || lasting_overflow) continue;
    if (strcmp(path, ".") == 0) path = "";
    int wd = inotify_add_watch(inotify.fd, path[0] == 0 ? "." : path, MASK);
    if (wd < 0) {
      if (errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP) continue; /* gone again; its parent tells */
      lasting_overflow = true;
      continue;
    }
    if ((size_t)wd >= watched_capacity) {
      size_t capacity = watched_capacity == 0 ? 256 : watched_capacity;
      while (capacity <= (size_t)wd) capacity *= 2;
      watched = must(realloc(watched, capacity * sizeof *watched));
      memset(watched + watched_capacity, 0, (capacity - watched_capacity) * sizeof *watched);
      watched_capacity = capacity;
    }
    free(watched[wd]);
    watched[wd] = must(strdup(path));
  }
  reply(id, reader->bad ? EINVAL : 0, NULL);
}

void change_report(uint32_t id) {
  if (inotify.fd >= 0) drain();
  struct writer out = {0};
  bool all = overflow || lasting_overflow;
  put_u8(&out, all);
  for (size_t i = 0; i < touched_capacity; i++) {
    if (touched[i] == NULL) continue;
    if (!all) put_string(&out, touched[i]);
    free(touched[i]);
    touched[i] = NULL;
  }
  if (touched_capacity > 4096) {
    free(touched);
    touched = NULL;
    touched_capacity = 0;
  }
  touched_count = 0;
  overflow = false;
  reply(id, 0, &out);
}
