/*
 * What the sandbox may add to the file system of its workspace, in bytes and in files, and what it must leave of it to everybody else. No quota
 * of the kernel's is to be had without privilege and mount options, so we look at the file system's own count while commands run, the sooner
 * the less is left, and end the execution that is writing. Others who write to the same file system meanwhile count as well.
 */
#include "init.h"

#include <sys/statvfs.h>

static bool started;
static uint64_t base_bytes, base_files, next_look;
/* Where those who run now are ended. Whoever starts when too much is there already may add a little: what he does is cleaning up, we hope. */
static uint64_t ceiling_bytes, ceiling_files, last_bytes, last_files;

struct use {
  uint64_t bytes, files, left;
};

static bool look(struct use *use) {
  struct statvfs stat;
  if (statvfs(options.workspace, &stat) != 0) return false;
  use->bytes = (uint64_t)(stat.f_blocks - stat.f_bfree) * stat.f_frsize;
  use->files = (uint64_t)(stat.f_files - stat.f_ffree);
  use->left = (uint64_t)stat.f_bavail * stat.f_frsize;
  return true;
}

static uint64_t grown(uint64_t now, uint64_t base) { return now > base ? now - base : 0; }

static uint64_t ceiling(uint64_t base, uint64_t limit) { return limit == 0 ? UINT64_MAX : base + limit; }

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* How much more may come, as bytes; 0: too much has come. */
static uint64_t headroom(const struct use *use, uint64_t most_bytes, uint64_t most_files) {
  /* A process makes about a hundred files in the time in which it writes two megabytes. */
  uint64_t files = least(grown(most_files, use->files), UINT64_MAX / 20000);
  return least(least(grown(most_bytes, use->bytes), files * 20000), grown(use->left, options.disk_reserve));
}

static bool limited(void) { return options.disk_bytes != 0 || options.disk_files != 0 || options.disk_reserve != 0; }

static bool begin(struct use *use) {
  if (!limited() || !look(use)) return false;
  if (!started) {
    started = true;
    base_bytes = use->bytes;
    base_files = use->files;
  }
  return true;
}

void disk_start(void) {
  struct use use;
  begin(&use);
}

bool disk_full(uint64_t more) {
  struct use use;
  return begin(&use) && headroom(&use, ceiling(base_bytes, options.disk_bytes), ceiling(base_files, options.disk_files)) < more;
}

/* Ends the execution that has done most since we last looked. Bytes do not come from one that has written none. */
static void end_busiest(bool files) {
  struct process *busiest = NULL;
  uint64_t most = 0;
  for (struct channel *channel = channels; channel != NULL; channel = channel->next) {
    struct process *process = channel->is_process ? channel->process : NULL;
    if (process == NULL || !process->started || process->gone) continue;
    struct tree_sum sum;
    tree_measure(process->keeper, &sum);
    uint64_t written = grown(sum.written_bytes, process->seen_written), worked = grown(sum.cpu_ms, process->seen_cpu_ms);
    process->seen_written = sum.written_bytes;
    process->seen_cpu_ms = sum.cpu_ms;
    /* Making files takes time and writes nothing. */
    uint64_t done = files ? written + worked * 65536 : written < 4096 ? 0 : written;
    if (done == 0 || done < most) continue;
    busiest = process;
    most = done;
  }
  if (busiest != NULL) process_kill(busiest, LIMIT_DISK);
}

static void judge(const struct use *use, bool first) {
  uint64_t most_bytes = ceiling(base_bytes, options.disk_bytes), most_files = ceiling(base_files, options.disk_files);
  if (first || use->bytes <= most_bytes) ceiling_bytes = use->bytes > most_bytes ? use->bytes + options.disk_bytes / 16 : most_bytes;
  if (first || use->files <= most_files) ceiling_files = use->files > most_files ? use->files + options.disk_files / 16 + 16 : most_files;
  bool files = use->files > ceiling_files && use->files > last_files;
  bool bytes = (use->bytes > ceiling_bytes || use->left < options.disk_reserve) && use->bytes > last_bytes;
  if (!first && (files || bytes)) end_busiest(files);
  last_bytes = use->bytes;
  last_files = use->files;
}

void disk_turn(uint64_t now) {
  if (!limited()) return;
  bool running = false;
  for (struct channel *channel = channels; channel != NULL; channel = channel->next)
    if (channel->is_process && channel->process->started && !channel->process->gone) running = true;
  if (!running) {
    next_look = 0;
    return;
  }
  struct use use;
  if (now >= next_look && begin(&use)) {
    judge(&use, next_look == 0);
    /* A process writes about two gigabytes a second. */
    uint64_t wait = headroom(&use, ceiling_bytes, ceiling_files) / (2u << 20);
    next_look = now + (wait < 20 ? 20 : wait > 1000 ? 1000 : wait);
  }
  wake_at(next_look);
}
