/* Walks of directory trees, a slice a turn, so that a large repository holds nobody up; paced by the host's credit. */
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLICE 512

struct level {
  struct level *up;
  int fd;
  char *path; /* relative to the root of the walk; empty for the root itself */
  char **names;
  size_t count, next;
};

struct walk {
  struct walk *next;
  uint32_t id;
  uint64_t credit;
  struct level *level;
  char **skip;
  uint32_t skips;
  struct writer part;
};

static struct walk *walks;

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static struct level *enter(struct level *up, int at, const char *name, char *path, int *error) {
  int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (up == NULL ? 0 : O_NOFOLLOW));
  if (fd < 0) {
    *error = errno;
    return NULL;
  }
  DIR *directory = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 4));
  if (directory == NULL) {
    *error = errno;
    close(fd);
    return NULL;
  }
  struct level *level = must(calloc(1, sizeof *level));
  *level = (struct level){.up = up, .fd = fd, .path = path};
  size_t capacity = 0;
  struct dirent *entry;
  while ((entry = readdir(directory)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (level->count == capacity) {
      capacity = capacity == 0 ? 32 : capacity * 2;
      level->names = must(realloc(level->names, capacity * sizeof *level->names));
    }
    level->names[level->count++] = must(strdup(entry->d_name));
  }
  closedir(directory);
  if (level->count > 1) qsort(level->names, level->count, sizeof *level->names, by_name);
  return level;
}

static struct level *leave(struct level *level) {
  struct level *up = level->up;
  close(level->fd);
  for (size_t i = 0; i < level->count; i++) free(level->names[i]);
  free(level->names);
  free(level->path);
  free(level);
  return up;
}

static bool skipped(struct walk *walk, const char *name, const char *path) {
  for (uint32_t i = 0; i < walk->skips; i++) {
    const char *skip = walk->skip[i];
    if (skip[0] == '/' ? strcmp(skip + 1, path) == 0 : strcmp(skip, name) == 0 || strcmp(skip, path) == 0) return true;
  }
  return false;
}

static void flush_part(struct walk *walk) {
  if (walk->part.length == 0) return;
  send_frame(T_PART, walk->id, walk->part.data, walk->part.length);
  walk->credit = walk->credit > walk->part.length ? walk->credit - walk->part.length : 0;
  walk->part.length = 0;
}

static void end_walk(struct walk *walk, int error) {
  if (error == 0) flush_part(walk);
  reply(walk->id, error, NULL);
  while (walk->level != NULL) walk->level = leave(walk->level);
  for (struct walk **link = &walks; *link != NULL; link = &(*link)->next) {
    if (*link != walk) continue;
    *link = walk->next;
    break;
  }
  for (uint32_t i = 0; i < walk->skips; i++) free(walk->skip[i]);
  free(walk->skip);
  writer_free(&walk->part);
  free(walk);
}

void walk_start(uint32_t id, struct reader *reader) {
  uint32_t window = read_u32(reader);
  const char *path = read_string(reader);
  uint32_t skips = read_u32(reader);
  if (skips > (uint32_t)(reader->end - reader->at)) reader->bad = true;
  if (reader->bad) {
    reply(id, EINVAL, NULL);
    return;
  }
  struct walk *walk = must(calloc(1, sizeof *walk));
  walk->id = id;
  walk->credit = window;
  walk->skip = must(calloc(skips + 1, sizeof *walk->skip));
  for (; walk->skips < skips; walk->skips++) walk->skip[walk->skips] = must(strdup(read_string(reader)));
  walk->next = walks;
  walks = walk;
  int error = 0;
  walk->level = enter(NULL, AT_FDCWD, path, must(strdup("")), &error);
  if (walk->level == NULL) end_walk(walk, error);
}

void walk_credit(uint32_t id, uint32_t credit) {
  for (struct walk *walk = walks; walk != NULL; walk = walk->next)
    if (walk->id == id) {
      walk->credit = credit == UINT32_MAX ? 0 : walk->credit + credit;
      if (credit == UINT32_MAX) end_walk(walk, ECANCELED);
      return;
    }
}

static bool slice(struct walk *walk) {
  for (int i = 0; i < SLICE && walk->level != NULL; i++) {
    struct level *level = walk->level;
    if (level->next == level->count) {
      walk->level = leave(level);
      continue;
    }
    const char *name = level->names[level->next++];
    struct stat stat;
    if (fstatat(level->fd, name, &stat, AT_SYMLINK_NOFOLLOW) != 0) continue; /* gone since */
    size_t length = strlen(level->path);
    char *path = must(malloc(length + strlen(name) + 2));
    strcpy(path, level->path);
    if (length > 0) path[length++] = '/';
    strcpy(path + length, name);
    put_string(&walk->part, path);
    put_stat(&walk->part, &stat);
    int ignored = 0;
    struct level *below = S_ISDIR(stat.st_mode) && !skipped(walk, name, path) ? enter(level, level->fd, name, path, &ignored) : NULL;
    if (below != NULL) walk->level = below;
    else free(path);
    if (ignored == EMFILE || ignored == ENFILE) {
      end_walk(walk, ignored);
      return false;
    }
  }
  if (walk->level == NULL) {
    end_walk(walk, 0);
    return false;
  }
  flush_part(walk);
  return walk->credit > 0;
}

bool walk_turn(void) {
  bool more = false;
  for (struct walk *walk = walks, *next; walk != NULL; walk = next) {
    next = walk->next;
    if (walk->credit > 0 && slice(walk)) more = true;
  }
  return more;
}
