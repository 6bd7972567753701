/*
 * What descends from a process, by /proc. A process that forks while we look is found by looking again: callers repeat until
 * nothing is found. Nothing here allocates, so that the lease's signal handler may use it too.
 */
#include "init.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST 32768

struct seen {
  pid_t pid, parent;
  uint64_t cpu_ticks;
  bool within, zombie;
};

/* Two tables: the handler may interrupt a look that is under way. */
static struct seen tables[2][MOST];
static volatile sig_atomic_t depth;

static size_t read_file(const char *path, char *to, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t n = read(fd, to, size - 1);
  close(fd);
  if (n <= 0) return 0;
  to[n] = 0;
  return (size_t)n;
}

static void proc_path(char *to, pid_t pid, const char *name) {
  char digits[12];
  int count = 0;
  for (pid_t rest = pid; rest > 0; rest /= 10) digits[count++] = (char)('0' + rest % 10);
  memcpy(to, "/proc/", 6);
  to += 6;
  while (count > 0) *to++ = digits[--count];
  *to++ = '/';
  strcpy(to, name);
}

static bool read_stat(pid_t pid, struct seen *seen) {
  char path[48], text[1024];
  proc_path(path, pid, "stat");
  if (read_file(path, text, sizeof text) == 0) return false;
  char *at = strrchr(text, ')'); /* the name before it may hold anything */
  if (at == NULL || at[1] == 0) return false;
  at += 2;
  seen->pid = pid;
  seen->zombie = *at == 'Z' || *at == 'X';
  seen->parent = (pid_t)strtol(at + 2, &at, 10);
  uint64_t ticks = 0;
  for (int field = 5; field <= 17; field++) { /* 14 to 17: utime, stime, cutime, cstime */
    uint64_t value = (uint64_t)strtoll(at, &at, 10);
    if (field >= 14) ticks += value;
  }
  seen->cpu_ticks = ticks;
  seen->within = false;
  return true;
}

static size_t look(struct seen *table) {
  int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return 0;
  size_t count = 0;
  char entries[8192];
  long n;
  while ((n = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0) {
    for (long at = 0; at < n;) {
      struct dirent64 *entry = (struct dirent64 *)(void *)(entries + at);
      at += entry->d_reclen;
      if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || count == MOST) continue;
      if (read_stat((pid_t)atoi(entry->d_name), &table[count])) count++;
    }
  }
  close(fd);
  return count;
}

static size_t mark(struct seen *table, size_t count, pid_t root) {
  size_t found = 0;
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < count; i++) {
      if (table[i].within || table[i].pid == root) continue;
      bool within = table[i].parent == root;
      for (size_t j = 0; !within && j < count; j++) within = table[j].within && table[j].pid == table[i].parent;
      if (!within) continue;
      table[i].within = more = true;
      found++;
    }
  }
  return found;
}

void tree_visit(pid_t root, void (*visit)(pid_t, void *), void *context) {
  struct seen *table = tables[depth > 0 ? 1 : 0];
  depth++;
  size_t count = look(table);
  mark(table, count, root);
  for (size_t i = 0; i < count; i++)
    if (table[i].within && !table[i].zombie) visit(table[i].pid, context);
  depth--;
}

struct killing {
  int signal, count;
};

static void kill_one(pid_t pid, void *context) {
  struct killing *killing = context;
  if (kill(pid, killing->signal) == 0) killing->count++;
}

int tree_kill(pid_t root, int signal) {
  struct killing killing = {.signal = signal, .count = 0};
  tree_visit(root, kill_one, &killing);
  return killing.count;
}

pid_t tree_parent(pid_t pid) {
  struct seen seen;
  return read_stat(pid, &seen) ? seen.parent : 0;
}

static uint64_t anonymous_bytes(pid_t pid) {
  char path[48], text[128];
  proc_path(path, pid, "statm");
  if (read_file(path, text, sizeof text) == 0) return 0;
  char *at = text;
  strtol(at, &at, 10);
  long resident = strtol(at, &at, 10), shared = strtol(at, &at, 10);
  return resident > shared ? (uint64_t)(resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t io_bytes(pid_t pid, const char *kind) {
  char path[48], text[256];
  proc_path(path, pid, "io");
  if (read_file(path, text, sizeof text) == 0) return 0;
  char *at = strstr(text, kind);
  return at == NULL ? 0 : strtoull(at + strlen(kind), NULL, 10);
}

static uint64_t written_bytes(pid_t pid) { return io_bytes(pid, "wchar: "); }

uint64_t process_stored_bytes(pid_t pid) { return io_bytes(pid, "\nwrite_bytes: "); }

void tree_measure(pid_t root, struct tree_sum *sum) {
  *sum = (struct tree_sum){0};
  struct seen *table = tables[0];
  depth++;
  size_t count = look(table);
  mark(table, count, root);
  uint64_t ticks = 0;
  for (size_t i = 0; i < count; i++) {
    if (!table[i].within && table[i].pid != root) continue;
    ticks += table[i].cpu_ticks;
    if (table[i].pid == root || table[i].zombie) continue;
    sum->processes++;
    sum->rss_bytes += anonymous_bytes(table[i].pid);
    sum->written_bytes += written_bytes(table[i].pid);
  }
  depth--;
  sum->cpu_ms = ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

static uint64_t mixed(uint64_t value) {
  value ^= value >> 31;
  value *= 0x9e3779b97f4a7c15;
  value ^= value >> 29;
  value *= 0xbf58476d1ce4e5b9;
  return value ^ value >> 32;
}

struct activity {
  uint64_t sum;
  bool unknown;
};

/* A thread's time on a processor, in nanoseconds. What runs just now has not been added up: of that nothing is known. */
static void add_thread(pid_t pid, pid_t thread, struct activity *activity) {
  char path[64], text[1024];
  proc_path(path, pid, "task/");
  size_t length = strlen(path);
  for (int part = 0; part < 2; part++) {
    char digits[12];
    int count = 0;
    size_t end = length;
    for (pid_t rest = thread; rest > 0; rest /= 10) digits[count++] = (char)('0' + rest % 10);
    while (count > 0) path[end++] = digits[--count];
    strcpy(path + end, part == 0 ? "/schedstat" : "/stat");
    if (read_file(path, text, sizeof text) == 0) {
      activity->unknown = true;
      return;
    }
    if (part == 0) {
      activity->sum += mixed(strtoull(text, NULL, 10) + mixed((uint64_t)thread));
      continue;
    }
    char *at = strrchr(text, ')');
    if (at == NULL || at[1] == 0 || at[2] == 'R') activity->unknown = true;
  }
}

static void add_threads(pid_t pid, void *context) {
  struct activity *activity = context;
  char path[48], entries[4096];
  proc_path(path, pid, "task");
  int fd = activity->unknown ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    activity->unknown = true;
    return;
  }
  long n;
  while ((n = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0) {
    for (long at = 0; at < n;) {
      struct dirent64 *entry = (struct dirent64 *)(void *)(entries + at);
      at += entry->d_reclen;
      if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') add_thread(pid, (pid_t)atoi(entry->d_name), activity);
    }
  }
  close(fd);
}

uint64_t tree_activity(pid_t root) {
  struct activity activity = {.sum = 1};
  tree_visit(root, add_threads, &activity);
  return activity.unknown ? 0 : activity.sum == 0 ? 1 : activity.sum;
}
