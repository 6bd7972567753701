/*
 * The memory limit where no cgroup enforces it: we add up what the sandbox holds and kill the largest execution. How soon we
 * look again depends on how much is left.
 */
#include "init.h"

#include <sys/statvfs.h>
#include <unistd.h>

static uint64_t next_look;

static uint64_t held_in(const char *directory) {
  struct statvfs stat;
  if (!options.pid_one || statvfs(directory, &stat) != 0) return 0;
  return (uint64_t)(stat.f_blocks - stat.f_bfree) * stat.f_frsize;
}

void memory_turn(uint64_t now) {
  if (options.memory_bytes == 0) return;
  bool running = false;
  for (struct channel *channel = channels; channel != NULL; channel = channel->next)
    if (channel->is_process && channel->process->started && !channel->process->gone) running = true;
  if (!running) {
    next_look = 0;
    return;
  }
  if (now < next_look) {
    wake_at(next_look);
    return;
  }
  struct tree_sum sum;
  tree_measure(getpid(), &sum);
  uint64_t files = held_in("/tmp") + held_in("/dev/shm");
  uint64_t used = sum.rss_bytes + files;
  if (used > options.memory_bytes) {
    struct process *largest = NULL;
    uint64_t most = 0;
    for (struct channel *channel = channels; channel != NULL; channel = channel->next) {
      if (!channel->is_process || !channel->process->started || channel->process->gone) continue;
      struct tree_sum one;
      tree_measure(channel->process->keeper, &one);
      if (largest != NULL && one.rss_bytes < most) continue;
      largest = channel->process;
      most = one.rss_bytes;
    }
    if (largest != NULL) process_kill(largest, LIMIT_MEMORY);
    next_look = now + 20;
  } else {
    /* A process fills about two gigabytes a second. */
    uint64_t wait = (options.memory_bytes - used) / (2u << 20);
    next_look = now + (wait < 20 ? 20 : wait > 1000 ? 1000 : wait);
  }
  wake_at(next_look);
}
