/*
 * What the sandbox may add to the file system of its workspace, in bytes and in files, and what it must leave of it to everybody else. No quota
 * of the kernel's is to be had without privilege and mount options, so we look while commands run, the sooner the less is left, and end the
 * execution that is writing.
 *
 * Two counts. The file system's own is cheap and knows everything, but others write and free there too. Our own (own.c) is what the processes of the
 * sandbox have had written: while it is below the limit, nothing of what others do counts. When it is above, or the file system has grown by more
 * than the limit, the workspace is looked through, and what it has grown by decides, however much others have freed. So is what has no name but is
 * held open or mapped (nameless.c, mapped.c). Processes that come and go between two looks leave no count: that there were such makes the next look come sooner.
 */
#include "init.h"

#include <sys/statvfs.h>

/* A process writes about two gigabytes a second. */
#define BYTES_PER_MS (2u << 20)

static bool started;
static uint64_t base_bytes, base_files, next_look;
/* The workspace as it was at the beginning and when it was looked through last: growth, and what we had written by then. */
static struct own_use base_held;
static uint64_t held_bytes, held_files, held_at, walked, last_process, next_walk, next_regular;
static bool held_unknown, held_hidden;
/* Where those who run now are ended. Whoever starts when too much is there already may add a little: what he does is cleaning up, we hope. */
static uint64_t ceiling_bytes, ceiling_files, last_bytes, last_files;

/* Growth, as far as it counts; `near`: as it may turn out to be. */
struct use {
  uint64_t bytes, files, near_bytes, near_files, left;
};

static uint64_t grown(uint64_t now, uint64_t base) { return now > base ? now - base : 0; }

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }

static uint64_t ceiling(uint64_t limit) { return limit == 0 ? UINT64_MAX : limit; }

static bool counted(void) { return options.disk_bytes != 0 || options.disk_files != 0; }

/* Who came and went since the workspace was looked through may have written as much as anybody could: nobody knows. */
static uint64_t unseen(void) { return own_last_process() == last_process ? 0 : (now_ms() - walked) * BYTES_PER_MS; }

static void look_through(uint64_t written) {
  uint64_t began = now_ms();
  last_process = own_last_process();
  struct own_use held;
  own_held(&held);
  held_bytes = grown(held.bytes, base_held.bytes);
  held_files = grown(held.files, base_held.files);
  held_unknown = held.closed > base_held.closed;
  held_hidden = held.hidden > base_held.hidden;
  held_at = written;
  uint64_t now = now_ms(), took = now - began;
  walked = began;
  next_walk = now + least(20 + took * 20, 5000);
  next_regular = now + most(1000, took * 50);
}

/* `at_once`: what was found before may be too much, and is to be looked at again. */
static bool look(struct use *use, uint64_t bytes_limit, uint64_t files_limit, bool at_once) {
  struct statvfs stat;
  if (statvfs(options.workspace, &stat) != 0) return false;
  uint64_t bytes = (uint64_t)(stat.f_blocks - stat.f_bfree) * stat.f_frsize, files = (uint64_t)(stat.f_files - stat.f_ffree);
  use->left = (uint64_t)stat.f_bavail * stat.f_frsize;
  use->bytes = use->files = use->near_bytes = use->near_files = 0;
  if (!counted()) return true;
  uint64_t written = own_written();
  if (!started) {
    started = true;
    base_bytes = bytes;
    base_files = files;
    own_held(&base_held);
    look_through(written);
  }
  uint64_t all_bytes = grown(bytes, base_bytes), all_files = grown(files, base_files), now = now_ms();
  bool over = held_bytes + (written - held_at) + unseen() > bytes_limit || all_bytes > bytes_limit || all_files > files_limit;
  if ((over && (at_once || now >= next_walk)) || now >= next_regular) look_through(written);
  uint64_t own_bytes = held_bytes + (written - held_at);
  /* What cannot be looked into is as large as it can be. What has grown beyond the limit while we wrote as much is ours: files may have no name. */
  bool ours = all_bytes > bytes_limit && (held_hidden || written > bytes_limit);
  use->bytes = most(held_unknown ? written : held_bytes, ours ? all_bytes : 0);
  use->files = most(held_files, held_unknown ? all_files : 0);
  use->near_bytes = most(use->bytes, own_bytes + unseen());
  use->near_files = most(use->files, all_files);
  return true;
}

/* How much more may come, as bytes; 0: too much has come. */
static uint64_t headroom(const struct use *use, uint64_t bytes, uint64_t files, uint64_t most_bytes, uint64_t most_files) {
  /* A process makes about a hundred files in the time in which it writes two megabytes. */
  uint64_t left_files = least(grown(most_files, files), UINT64_MAX / 20000);
  return least(least(grown(most_bytes, bytes), left_files * 20000), grown(use->left, options.disk_reserve));
}

static bool limited(void) { return counted() || options.disk_reserve != 0; }

void disk_start(void) {
  struct use use;
  if (limited()) look(&use, ceiling(options.disk_bytes), ceiling(options.disk_files), false);
}

bool disk_full(uint64_t more) {
  struct use use;
  uint64_t bytes = ceiling(options.disk_bytes), files = ceiling(options.disk_files);
  if (!limited() || !look(&use, grown(bytes, more), files, true)) return false;
  return headroom(&use, use.bytes, use.files, bytes, files) < more;
}

/* Ends the execution that has done most since we last looked. Bytes do not come from one that has written none. */
static void end_busiest(bool files) {
  struct process *busiest = NULL;
  uint64_t most_done = 0;
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
    if (done == 0 || done < most_done) continue;
    busiest = process;
    most_done = done;
  }
  if (busiest != NULL) process_kill(busiest, LIMIT_DISK);
}

static void judge(const struct use *use, bool first) {
  uint64_t most_bytes = ceiling(options.disk_bytes), most_files = ceiling(options.disk_files);
  if (first || use->bytes <= most_bytes) ceiling_bytes = use->bytes > most_bytes ? use->bytes + options.disk_bytes / 16 : most_bytes;
  if (first || use->files <= most_files) ceiling_files = use->files > most_files ? use->files + options.disk_files / 16 + 16 : most_files;
  static uint64_t last_left;
  bool files = use->files > ceiling_files && use->files > last_files;
  bool bytes = use->bytes > ceiling_bytes && use->bytes > last_bytes;
  bool scarce = use->left < options.disk_reserve && use->left < last_left;
  if (!first && (files || bytes || scarce)) end_busiest(files);
  last_bytes = use->bytes;
  last_files = use->files;
  last_left = use->left;
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
  bool first = next_look == 0;
  uint64_t bytes = first ? ceiling(options.disk_bytes) : ceiling_bytes, files = first ? ceiling(options.disk_files) : ceiling_files;
  if (now >= next_look && look(&use, bytes, files, first)) {
    judge(&use, first);
    uint64_t wait = headroom(&use, use.near_bytes, use.near_files, ceiling_bytes, ceiling_files) / BYTES_PER_MS;
    next_look = now + (wait < 20 ? 20 : wait > 1000 ? 1000 : wait);
  }
  wake_at(next_look);
}
