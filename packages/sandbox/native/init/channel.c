/*
 * Byte streams between the host and something in here, each with credit: the host says how much it is ready to take, we say
 * how much input we hold. Control bytes are passed on only after the output that was written before them.
 */
#include "init.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct channel *channels;

/* Above what a pipe or terminal can hold: having read this much, whatever was written before now has been read. */
#define DRAIN_BOUND (1100u << 10)

static uint8_t buffer[64 << 10];

struct channel *channel_new(uint32_t id, uint64_t credit) {
  struct channel *channel = must(calloc(1, sizeof *channel));
  channel->id = id;
  channel->credit = credit;
  for (int i = 0; i < STREAMS; i++) channel->out[i].fd = -1;
  channel->in.fd = -1;
  channel->next = channels;
  channels = channel;
  return channel;
}

struct channel *channel_find(uint32_t id) {
  for (struct channel *channel = channels; channel != NULL; channel = channel->next)
    if (channel->id == id) return channel;
  return NULL;
}

void channel_free(struct channel *channel) {
  for (struct channel **link = &channels; *link != NULL; link = &(*link)->next) {
    if (*link != channel) continue;
    *link = channel->next;
    break;
  }
  for (int i = 0; i < STREAMS; i++) source_close(&channel->out[i]);
  source_close(&channel->in);
  free(channel->queue);
  free_later(channel);
}

static struct channel *owner(struct source *source, int *stream) {
  for (struct channel *channel = channels; channel != NULL; channel = channel->next)
    for (int i = 0; i < STREAMS; i++)
      if (&channel->out[i] == source) {
        *stream = i;
        return channel;
      }
  return NULL;
}

static void on_output(struct source *source, uint32_t events) {
  int stream;
  struct channel *channel = owner(source, &stream);
  if (channel == NULL) return;
  channel->pending[stream] |= events;
  channel_pump(channel);
}

void channel_output(struct channel *channel, int stream, int fd) { source_open(&channel->out[stream], fd, EPOLLIN, on_output); }

static void end_stream(struct channel *channel, int stream) {
  source_close(&channel->out[stream]);
  channel->pending[stream] = 0;
  for (int i = 0; i < STREAMS; i++)
    if (channel->out[i].fd >= 0) return;
  if (channel->ended) return;
  channel->ended = true;
  if (!channel->discard) send_frame(T_END, channel->id, NULL, 0);
  if (channel->is_process) process_maybe_free(channel->process);
}

/* How reading went: nothing there now, all credit used, or over. */
enum pumped { PUMP_EMPTY, PUMP_NO_CREDIT, PUMP_ENDED, PUMP_MORE };

static enum pumped pump(struct channel *channel, int stream, size_t bound) {
  size_t done = 0;
  while (channel->out[stream].fd >= 0) {
    if (done >= bound) return PUMP_MORE;
    size_t want = sizeof buffer;
    if (!channel->discard) {
      if (channel->credit == 0) return PUMP_NO_CREDIT;
      if (channel->credit < want) want = (size_t)channel->credit;
    }
    ssize_t n = read(channel->out[stream].fd, buffer, want);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      channel->pending[stream] = 0;
      return PUMP_EMPTY;
    }
    if (n <= 0) { /* a terminal says EIO when its last user has gone */
      end_stream(channel, stream);
      return PUMP_ENDED;
    }
    if (!channel->discard) {
      uint8_t head = (uint8_t)stream;
      send_frame2(T_OUTPUT, channel->id, &head, 1, buffer, (size_t)n);
      channel->credit -= (uint64_t)n;
    }
    done += (size_t)n;
  }
  return PUMP_ENDED;
}

/* Takes control bytes in hand. All output that was written before them can be read from now on. */
static void hold_control(struct channel *channel) {
  ssize_t n;
  do n = read(channel->out[STREAM_CONTROL].fd, channel->held, sizeof channel->held);
  while (n < 0 && errno == EINTR);
  channel->pending[STREAM_CONTROL] = 0; /* what is left is announced again */
  if (n > 0) channel->held_length = (size_t)n;
  if (n == 0 || (n < 0 && errno != EAGAIN)) channel->control_over = true;
}

static void pass_control(struct channel *channel) {
  size_t n = channel->held_length;
  if (!channel->discard) {
    if (n > channel->credit) n = (size_t)channel->credit;
    if (n > 0) {
      uint8_t head = STREAM_CONTROL;
      send_frame2(T_OUTPUT, channel->id, &head, 1, channel->held, n);
      channel->credit -= (uint64_t)n;
    }
  }
  channel->held_length -= n;
  memmove(channel->held, channel->held + n, channel->held_length);
  if (channel->held_length == 0 && channel->control_over) end_stream(channel, STREAM_CONTROL);
}

void channel_pump(struct channel *channel) {
  bool control = channel->out[STREAM_CONTROL].fd >= 0;
  if (control && channel->pending[STREAM_CONTROL] != 0 && channel->held_length == 0 && !channel->control_over) hold_control(channel);
  if (control && (channel->held_length > 0 || channel->control_over)) {
    /* Output first, whether or not it was announced in this turn: it may have been written just before. */
    bool drained = true;
    for (int stream = STREAM_OUT; stream <= STREAM_ERR; stream++)
      if (channel->out[stream].fd >= 0 && pump(channel, stream, DRAIN_BOUND) == PUMP_NO_CREDIT) {
        channel->pending[stream] |= EPOLLIN;
        drained = false;
      }
    if (drained) pass_control(channel);
  } else {
    for (int stream = STREAM_OUT; stream <= STREAM_ERR; stream++)
      if (channel->pending[stream] != 0) pump(channel, stream, sizeof buffer);
  }
  /* Without credit the descriptors rest: the writer fills its pipe and waits. */
  bool starved = channel->credit == 0 && !channel->discard;
  for (int stream = 0; stream < STREAMS; stream++) {
    if (channel->out[stream].fd < 0) continue;
    if (!starved) channel->pending[stream] = stream == STREAM_CONTROL ? channel->pending[stream] : 0;
    source_interest(&channel->out[stream], starved ? EPOLLET : EPOLLIN);
  }
}

void channel_credit(struct channel *channel, uint64_t credit) {
  bool starved = channel->credit == 0;
  channel->credit += credit;
  if (!starved) return;
  for (int stream = 0; stream < STREAMS; stream++)
    if (channel->out[stream].fd >= 0) channel->pending[stream] |= stream == STREAM_CONTROL ? 0 : EPOLLIN;
  channel_pump(channel);
}

void channel_discard(struct channel *channel) {
  channel->discard = true;
  channel_close_input(channel);
  for (int stream = 0; stream < STREAMS; stream++) source_interest(&channel->out[stream], EPOLLIN);
}

/* ---- input ---- */

static void input_over(struct channel *channel) {
  channel->queue_length = 0;
  if (channel->in.fd >= 0) source_close(&channel->in);
  if (!channel->discard) send_frame(T_INPUT_CLOSED, channel->id, NULL, 0);
}

/* A socket's other direction stays open: its peer is told of the end. */
static void end_input(struct channel *channel) {
  if (!channel->is_process) shutdown(channel->in.fd, SHUT_WR);
  source_close(&channel->in);
}

static void write_input(struct channel *channel) {
  size_t written = 0;
  while (channel->queue_length > 0) {
    ssize_t n = write(channel->in.fd, channel->queue + channel->queue_start, channel->queue_length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) {
      input_over(channel);
      return;
    }
    channel->queue_start += (size_t)n;
    channel->queue_length -= (size_t)n;
    written += (size_t)n;
  }
  if (written > 0) {
    uint32_t credit = (uint32_t)written;
    send_frame(T_INPUT_CREDIT, channel->id, &credit, 4);
  }
  if (channel->queue_length == 0) {
    channel->queue_start = 0;
    if (channel->closing_input && !channel->terminal) end_input(channel);
    else source_interest(&channel->in, EPOLLET);
  } else source_interest(&channel->in, EPOLLOUT);
}

static void on_input(struct source *source, uint32_t events) {
  for (struct channel *channel = channels; channel != NULL; channel = channel->next) {
    if (&channel->in != source) continue;
    if ((events & EPOLLERR) != 0 && !channel->terminal) input_over(channel);
    else if (channel->queue_length > 0) write_input(channel);
    return;
  }
}

void channel_input(struct channel *channel, int fd) {
  channel->queue = must(malloc(INPUT_WINDOW));
  source_open(&channel->in, fd, EPOLLET, on_input);
}

void channel_give_input(struct channel *channel, const uint8_t *bytes, size_t length) {
  if (channel->in.fd < 0 || channel->closing_input) return;
  if (channel->queue_length + length > INPUT_WINDOW) return; /* the host overran its credit */
  if (channel->queue_start + channel->queue_length + length > INPUT_WINDOW) {
    memmove(channel->queue, channel->queue + channel->queue_start, channel->queue_length);
    channel->queue_start = 0;
  }
  memcpy(channel->queue + channel->queue_start + channel->queue_length, bytes, length);
  channel->queue_length += length;
  write_input(channel);
}

void channel_close_input(struct channel *channel) {
  if (channel->in.fd < 0 || channel->closing_input) return;
  if (channel->terminal) {
    if (!channel->discard) channel_give_input(channel, (const uint8_t *)"\4", 1);
    return;
  }
  channel->closing_input = true;
  if (channel->queue_length == 0) end_input(channel);
}
