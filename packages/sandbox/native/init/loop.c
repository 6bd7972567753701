/* The event loop: epoll, a bound on how long it may sleep, and memory that outlives its turn. */
#include "init.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

bool connection_broken(void);
bool told_to_shut_down(void);

static int epoll = -1;
static uint64_t wake = UINT64_MAX;

struct corpse {
  struct corpse *next;
  void *memory;
};
static struct corpse *corpses;

uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int epoll_fd(void) {
  if (epoll < 0) epoll = epoll_create1(EPOLL_CLOEXEC);
  return epoll;
}

void source_open(struct source *source, int fd, uint32_t interest, void (*ready)(struct source *, uint32_t)) {
  source->fd = fd;
  source->ready = ready;
  source->interest = interest;
  struct epoll_event event = {.events = interest, .data.ptr = source};
  epoll_ctl(epoll_fd(), EPOLL_CTL_ADD, fd, &event);
}

void source_interest(struct source *source, uint32_t interest) {
  if (source->fd < 0 || source->interest == interest) return;
  source->interest = interest;
  struct epoll_event event = {.events = interest, .data.ptr = source};
  epoll_ctl(epoll_fd(), EPOLL_CTL_MOD, source->fd, &event);
}

void source_close(struct source *source) {
  if (source->fd < 0) return;
  epoll_ctl(epoll_fd(), EPOLL_CTL_DEL, source->fd, NULL);
  close(source->fd);
  source->fd = -1;
}

void free_later(void *memory) {
  struct corpse *corpse = must(malloc(sizeof *corpse));
  *corpse = (struct corpse){.next = corpses, .memory = memory};
  corpses = corpse;
}

void wake_at(uint64_t ms) {
  if (ms < wake) wake = ms;
}

void run_loop(void) {
  bool busy = false;
  while (!connection_broken() && !lease_lapsed() && !told_to_shut_down()) {
    int timeout = -1;
    if (busy) timeout = 0;
    else if (wake != UINT64_MAX) {
      uint64_t now = now_ms();
      timeout = wake <= now ? 0 : wake - now > 60000 ? 60000 : (int)(wake - now);
    }
    struct epoll_event events[64];
    int count = epoll_wait(epoll_fd(), events, 64, timeout);
    if (count < 0 && errno != EINTR) return;
    for (int i = 0; i < count; i++) {
      struct source *source = events[i].data.ptr;
      if (source->fd >= 0) source->ready(source, events[i].events);
    }
    wake = UINT64_MAX;
    uint64_t now = now_ms();
    process_turn(now);
    memory_turn(now);
    disk_turn(now);
    busy = walk_turn();
    if (outgoing() > 0 && !wire_writable()) return;
    while (corpses != NULL) {
      struct corpse *corpse = corpses;
      corpses = corpse->next;
      free(corpse->memory);
      free(corpse);
    }
  }
}
