/*
 * Writing in place: the inode stays, and with it mode, owner and every hard link. What was there is kept until the new content
 * is in, so that a disk that fills up half way costs nothing.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITE_EXCLUSIVE = 1, WRITE_PARENTS = 2, WRITE_MODE = 4 };

/* Larger former content is not copied; there the space is reserved beforehand. */
#define BACKUP_BOUND (64u << 20)
#define RESERVE_FROM (1u << 20)

struct pending_write {
  struct pending_write *next;
  uint32_t id;
  int fd;
  bool created;
  char *path;
  uint64_t total, done, former_size;
  uint8_t *backup; /* the former content, as far as it is overwritten */
  size_t backup_length;
};

static struct pending_write *pending;

static int write_all(int fd, const uint8_t *bytes, size_t length, uint64_t offset) {
  while (length > 0) {
    ssize_t n = pwrite(fd, bytes, length, (off_t)offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes += n;
    length -= (size_t)n;
    offset += (uint64_t)n;
  }
  return 0;
}

static void roll_back(struct pending_write *write) {
  if (write->created) {
    unlink(write->path);
    return;
  }
  /* The blocks of the former content were never given up, so putting it back needs no space. */
  if (write->backup != NULL) write_all(write->fd, write->backup, write->backup_length, 0);
  if (ftruncate(write->fd, (off_t)write->former_size) != 0) return;
}

static void finish(struct pending_write *write, int error) {
  if (error == 0 && write->former_size > write->total && ftruncate(write->fd, (off_t)write->total) != 0) error = errno;
  if (error != 0) roll_back(write);
  if (close(write->fd) != 0 && error == 0 && errno != EINTR) error = errno;
  for (struct pending_write **link = &pending; *link != NULL; link = &(*link)->next) {
    if (*link != write) continue;
    *link = write->next;
    break;
  }
  reply(write->id, error, NULL);
  free(write->backup);
  free(write->path);
  free(write);
}

static void add(struct pending_write *write, const uint8_t *bytes, size_t length) {
  if (length > write->total - write->done) {
    finish(write, EINVAL);
    return;
  }
  int error = write_all(write->fd, bytes, length, write->done);
  write->done += length;
  if (error != 0 || write->done == write->total) finish(write, error);
}

static int open_target(const char *path, uint8_t flags, mode_t mode, bool *created) {
  int common = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  *created = false;
  if ((flags & WRITE_EXCLUSIVE) == 0) {
    int fd = open(path, O_RDWR | common);
    if (fd < 0 && errno == EACCES) fd = open(path, O_WRONLY | common);
    if (fd >= 0 || errno != ENOENT) return fd;
  }
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | common, (flags & WRITE_MODE) != 0 ? mode : 0666);
  if (fd < 0 && errno == EEXIST && (flags & WRITE_EXCLUSIVE) == 0) {
    /* A link to nothing: the file comes to be where it points. */
    fd = open(path, O_RDWR | O_CREAT | common, (flags & WRITE_MODE) != 0 ? mode : 0666);
    return fd;
  }
  *created = fd >= 0;
  if (fd >= 0 && (flags & WRITE_MODE) != 0 && fchmod(fd, mode) != 0) {
    int error = errno;
    close(fd);
    unlink(path);
    errno = error;
    return -1;
  }
  return fd;
}

static int prepare(struct pending_write *write) {
  struct stat stat;
  if (fstat(write->fd, &stat) != 0) return errno;
  if (S_ISDIR(stat.st_mode)) return EISDIR;
  if (!S_ISREG(stat.st_mode)) return EINVAL;
  write->former_size = (uint64_t)stat.st_size;
  uint64_t overwritten = write->former_size < write->total ? write->former_size : write->total;
  if (overwritten <= BACKUP_BOUND && overwritten > 0) {
    write->backup = malloc((size_t)overwritten);
    if (write->backup == NULL) return ENOMEM;
    while (write->backup_length < overwritten) {
      ssize_t n = pread(write->fd, write->backup + write->backup_length, (size_t)overwritten - write->backup_length,
                        (off_t)write->backup_length);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break; /* write-only, or shrunk meanwhile */
      write->backup_length += (size_t)n;
    }
  }
  if (write->total >= RESERVE_FROM && fallocate(write->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)write->total) != 0 &&
      (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
    return errno;
  return 0;
}

void file_write(uint32_t id, struct reader *reader) {
  uint8_t flags = read_u8(reader);
  mode_t mode = (mode_t)read_u32(reader) & 07777;
  uint64_t total = read_u64(reader);
  const char *path = read_string(reader);
  uint32_t length;
  const uint8_t *bytes = read_bytes(reader, &length);
  if (reader->bad) {
    reply(id, EINVAL, NULL);
    return;
  }
  if (disk_full(total)) {
    reply(id, ENOSPC, NULL);
    return;
  }
  bool created;
  int fd = open_target(path, flags, mode, &created);
  if (fd < 0 && errno == ENOENT && (flags & WRITE_PARENTS) != 0) {
    int error = make_parents(path, 0777);
    if (error != 0) {
      reply(id, error, NULL);
      return;
    }
    fd = open_target(path, flags, mode, &created);
  }
  if (fd < 0) {
    reply(id, errno, NULL);
    return;
  }
  struct pending_write *write = must(calloc(1, sizeof *write));
  *write = (struct pending_write){.next = pending, .id = id, .fd = fd, .created = created, .path = must(strdup(path)), .total = total};
  pending = write;
  int error = prepare(write);
  if (error != 0) {
    bool wrong_kind = error == EISDIR || error == EINVAL;
    if (wrong_kind) {
      /* Nothing was touched, and nothing may be. */
      write->total = write->former_size = 0;
      pending = write->next;
      close(write->fd);
      reply(id, error, NULL);
      free(write->backup);
      free(write->path);
      free(write);
    } else finish(write, error);
    return;
  }
  add(write, bytes, length);
}

void file_write_more(uint32_t id, struct reader *reader) {
  uint32_t length;
  const uint8_t *bytes = read_bytes(reader, &length);
  for (struct pending_write *write = pending; write != NULL; write = write->next) {
    if (write->id != id) continue;
    add(write, bytes, length);
    return;
  }
}
