/* File operations, seen as the sandbox sees files. Paths are absolute or relative to the workspace, our working directory. */
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_CHUNK (4u << 20)

uint8_t stat_kind(mode_t mode) { return S_ISREG(mode) ? 0 : S_ISDIR(mode) ? 1 : S_ISLNK(mode) ? 2 : 3; }

void put_stat(struct writer *out, const struct stat *stat) {
  put_u8(out, stat_kind(stat->st_mode));
  put_u32(out, stat->st_mode & 07777);
  put_u64(out, (uint64_t)stat->st_size);
  put_u64(out, (uint64_t)stat->st_mtim.tv_sec * 1000000000 + (uint64_t)stat->st_mtim.tv_nsec);
  put_u64(out, (uint64_t)stat->st_ctim.tv_sec * 1000000000 + (uint64_t)stat->st_ctim.tv_nsec);
  put_u64(out, stat->st_nlink);
  put_u32(out, stat->st_uid);
  put_u32(out, stat->st_gid);
  put_u64(out, stat->st_ino);
}

int make_parents(const char *path, mode_t mode) {
  char copy[PATH_MAX];
  if (strlen(path) >= sizeof copy) return ENAMETOOLONG;
  strcpy(copy, path);
  for (char *at = copy + 1; *at != 0; at++) {
    if (*at != '/') continue;
    *at = 0;
    if (mkdir(copy, mode) != 0 && errno != EEXIST && errno != EROFS && errno != EACCES && errno != EPERM) return errno;
    *at = '/';
  }
  return 0;
}

static int read_some(struct reader *reader, struct writer *out) {
  const char *path = read_string(reader);
  uint64_t offset = read_u64(reader), length = read_u64(reader);
  if (reader->bad) return EINVAL;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return errno;
  struct stat stat;
  int error = 0;
  if (fstat(fd, &stat) != 0) error = errno;
  else if (S_ISDIR(stat.st_mode)) error = EISDIR;
  else if (!S_ISREG(stat.st_mode)) error = EINVAL;
  if (error == 0) {
    put_u64(out, (uint64_t)stat.st_size);
    put_u64(out, (uint64_t)stat.st_mtim.tv_sec * 1000000000 + (uint64_t)stat.st_mtim.tv_nsec);
    put_u64(out, stat.st_ino);
    size_t want = length < READ_CHUNK ? (size_t)length : READ_CHUNK;
    /* Sizes in /proc are zero: read on until the end says so. */
    size_t likely = stat.st_size > 0 && (uint64_t)stat.st_size > offset ? (size_t)((uint64_t)stat.st_size - offset) : 4096;
    size_t capacity = out->length + (likely < want ? likely + 1 : want);
    out->data = must(realloc(out->data, capacity));
    out->capacity = capacity;
    size_t done = 0;
    while (done < want) {
      if (out->length == out->capacity) {
        size_t more = out->capacity * 2 < out->length + want - done ? out->capacity * 2 : out->length + want - done;
        out->data = must(realloc(out->data, more));
        out->capacity = more;
      }
      size_t room = out->capacity - out->length < want - done ? out->capacity - out->length : want - done;
      ssize_t n = pread(fd, out->data + out->length, room, (off_t)(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) error = errno;
      if (n <= 0) break;
      out->length += (size_t)n;
      done += (size_t)n;
    }
  }
  close(fd);
  return error;
}

static int list(struct reader *reader, struct writer *out) {
  const char *path = read_string(reader);
  if (reader->bad) return EINVAL;
  DIR *directory = opendir(path);
  if (directory == NULL) return errno;
  int error = 0;
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(directory);
    if (entry == NULL) {
      error = errno;
      break;
    }
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    uint8_t kind = entry->d_type == DT_REG ? 0 : entry->d_type == DT_DIR ? 1 : entry->d_type == DT_LNK ? 2 : 3;
    if (entry->d_type == DT_UNKNOWN) {
      struct stat stat;
      if (fstatat(dirfd(directory), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0) kind = stat_kind(stat.st_mode);
    }
    put_u8(out, kind);
    put_string(out, entry->d_name);
  }
  closedir(directory);
  return error;
}

static int make_directory(struct reader *reader) {
  const char *path = read_string(reader);
  bool parents = read_u8(reader) != 0;
  mode_t mode = (mode_t)read_u32(reader);
  if (reader->bad) return EINVAL;
  if (parents) {
    int error = make_parents(path, 0777);
    if (error != 0) return error;
  }
  bool exact = mode != UINT32_MAX;
  if (mkdir(path, exact ? mode : 0777) == 0) return exact && chmod(path, mode) != 0 ? errno : 0;
  if (errno != EEXIST || !parents) return errno;
  struct stat existing;
  return stat(path, &existing) == 0 && S_ISDIR(existing.st_mode) ? 0 : EEXIST;
}

/* Never leaves the tree by a link: every step is relative to a directory that is held open. */
static int remove_tree(int at, const char *name) {
  int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    if (errno == EACCES && fchmodat(at, name, 0700, 0) == 0) fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return errno;
  }
  DIR *directory = fdopendir(fd);
  if (directory == NULL) {
    close(fd);
    return errno;
  }
  int error = 0;
  struct dirent *entry;
  bool opened = false;
  while (error == 0 && (entry = readdir(directory)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    bool is_directory = entry->d_type == DT_DIR;
    if (!is_directory && unlinkat(fd, entry->d_name, 0) == 0) continue;
    if (!is_directory && errno != EISDIR && errno != EACCES) {
      error = errno == ENOENT ? 0 : errno;
      continue;
    }
    if (!is_directory && errno == EACCES && !opened) {
      opened = true;
      error = fchmod(fd, 0700) != 0 || unlinkat(fd, entry->d_name, 0) != 0 ? errno : 0;
      continue;
    }
    error = remove_tree(fd, entry->d_name);
  }
  closedir(directory);
  if (error == 0 && unlinkat(at, name, AT_REMOVEDIR) != 0) error = errno;
  return error;
}

static int remove_path(struct reader *reader) {
  const char *path = read_string(reader);
  bool recursive = read_u8(reader) != 0;
  if (reader->bad) return EINVAL;
  struct stat stat;
  if (lstat(path, &stat) != 0) return errno;
  if (!S_ISDIR(stat.st_mode)) return unlink(path) != 0 ? errno : 0;
  if (!recursive) return rmdir(path) != 0 ? errno : 0;
  return remove_tree(AT_FDCWD, path);
}

static int put_realpath(const char *path, struct writer *out) {
  char resolved[PATH_MAX];
  if (realpath(path, resolved) == NULL) return errno;
  put_bytes(out, resolved, strlen(resolved));
  return 0;
}

static int put_link(const char *path, struct writer *out) {
  char target[PATH_MAX];
  ssize_t n = readlink(path, target, sizeof target);
  if (n < 0) return errno;
  put_bytes(out, target, (size_t)n);
  return 0;
}

void file_request(uint8_t type, uint32_t id, struct reader *reader) {
  struct writer out = {0};
  int error = 0;
  if (type == H_READ) error = read_some(reader, &out);
  else if (type == H_LIST) error = list(reader, &out);
  else if (type == H_MKDIR) error = make_directory(reader);
  else if (type == H_REMOVE) error = remove_path(reader);
  else {
    const char *path = read_string(reader);
    if (reader->bad) error = EINVAL;
    else if (type == H_STAT) {
      struct stat stat;
      bool follow = read_u8(reader) != 0;
      if (fstatat(AT_FDCWD, path, &stat, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0) error = errno;
      else put_stat(&out, &stat);
    } else if (type == H_REALPATH) error = put_realpath(path, &out);
    else if (type == H_READLINK) error = put_link(path, &out);
    else if (type == H_CHMOD) {
      mode_t mode = (mode_t)read_u32(reader);
      if (reader->bad) error = EINVAL;
      else if (chmod(path, mode & 07777) != 0) error = errno;
    } else if (type == H_RENAME || type == H_SYMLINK) {
      const char *second = read_string(reader);
      if (reader->bad) error = EINVAL;
      else if ((type == H_RENAME ? rename(path, second) : symlink(path, second)) != 0) error = errno;
    } else error = ENOSYS;
  }
  if (error != 0) writer_free(&out);
  reply(id, error, &out);
}
