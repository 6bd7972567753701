/* The connection: frames in, frames out, and readers and writers of their payloads. */
#include "init.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct source connection;
static uint8_t *in_data;
static size_t in_length, in_capacity;
static uint8_t *out_data;
static size_t out_start, out_length, out_capacity;

void dispatch(uint8_t type, uint32_t id, struct reader *);

static bool broken;

static void on_connection(struct source *source, uint32_t events) {
  (void)source;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !wire_readable()) broken = true;
  if ((events & EPOLLOUT) != 0 && !wire_writable()) broken = true;
}

bool connection_broken(void) { return broken; }

void wire_open(int fd) { source_open(&connection, fd, EPOLLIN, on_connection); }

size_t outgoing(void) { return out_length; }

static void out_append(const void *bytes, size_t length) {
  if (length == 0) return;
  if (out_start + out_length + length > out_capacity) {
    if (out_start > 0) {
      memmove(out_data, out_data + out_start, out_length);
      out_start = 0;
    }
    if (out_length + length > out_capacity) {
      size_t capacity = out_capacity == 0 ? 65536 : out_capacity;
      while (capacity < out_length + length) capacity *= 2;
      out_data = must(realloc(out_data, capacity));
      out_capacity = capacity;
    }
  }
  memcpy(out_data + out_start + out_length, bytes, length);
  out_length += length;
}

void send_frame2(uint8_t type, uint32_t id, const void *head, size_t head_length, const void *body, size_t body_length) {
  uint8_t prefix[9];
  uint32_t length = (uint32_t)(5 + head_length + body_length);
  memcpy(prefix, &length, 4);
  prefix[4] = type;
  memcpy(prefix + 5, &id, 4);
  out_append(prefix, 9);
  out_append(head, head_length);
  out_append(body, body_length);
  source_interest(&connection, EPOLLIN | EPOLLOUT);
}

void send_frame(uint8_t type, uint32_t id, const void *payload, size_t length) { send_frame2(type, id, payload, length, NULL, 0); }

void reply(uint32_t id, int error, struct writer *payload) {
  uint32_t code = (uint32_t)error;
  send_frame2(T_RESULT, id, &code, 4, payload == NULL ? NULL : payload->data, payload == NULL ? 0 : payload->length);
  if (payload != NULL) writer_free(payload);
}

bool wire_writable(void) {
  while (out_length > 0) {
    ssize_t n = write(connection.fd, out_data + out_start, out_length);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        source_interest(&connection, EPOLLIN | EPOLLOUT);
        return true;
      }
      return false;
    }
    out_start += (size_t)n;
    out_length -= (size_t)n;
  }
  out_start = 0;
  if (out_capacity > (4u << 20)) {
    free(out_data);
    out_data = NULL;
    out_capacity = 0;
  }
  source_interest(&connection, EPOLLIN);
  return true;
}

void wire_flush_blocking(int timeout_ms) {
  uint64_t until = now_ms() + (uint64_t)timeout_ms;
  while (out_length > 0 && wire_writable() && out_length > 0) {
    uint64_t now = now_ms();
    if (now >= until) return;
    struct pollfd wait = {.fd = connection.fd, .events = POLLOUT};
    if (poll(&wait, 1, (int)(until - now)) <= 0 || (wait.revents & (POLLHUP | POLLERR)) != 0) return;
  }
}

static void parse(void) {
  size_t at = 0;
  while (in_length - at >= 4) {
    uint32_t length;
    memcpy(&length, in_data + at, 4);
    if (length < 5 || length > MAX_FRAME) {
      broken = true;
      return;
    }
    if (in_length - at < 4 + (size_t)length) {
      if (in_capacity < 4 + (size_t)length + at) {
        memmove(in_data, in_data + at, in_length - at);
        in_length -= at;
        at = 0;
        if (in_capacity < 4 + (size_t)length) {
          in_capacity = 4 + (size_t)length;
          in_data = must(realloc(in_data, in_capacity));
        }
      }
      break;
    }
    uint32_t id;
    memcpy(&id, in_data + at + 5, 4);
    struct reader reader = {.at = in_data + at + 9, .end = in_data + at + 4 + length, .bad = false};
    dispatch(in_data[at + 4], id, &reader);
    at += 4 + length;
  }
  if (at > 0) {
    memmove(in_data, in_data + at, in_length - at);
    in_length -= at;
  }
  if (in_length == 0 && in_capacity > (4u << 20)) {
    free(in_data);
    in_data = NULL;
    in_capacity = 0;
  }
}

bool wire_readable(void) {
  if (in_capacity - in_length < 65536) {
    in_capacity = in_length + (256u << 10);
    in_data = must(realloc(in_data, in_capacity));
  }
  ssize_t n = read(connection.fd, in_data + in_length, in_capacity - in_length);
  if (n == 0) return false;
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  in_length += (size_t)n;
  parse();
  return true;
}

/* ---- payloads ---- */

static bool take(struct reader *reader, void *to, size_t length) {
  if (reader->bad || (size_t)(reader->end - reader->at) < length) {
    reader->bad = true;
    memset(to, 0, length);
    return false;
  }
  memcpy(to, reader->at, length);
  reader->at += length;
  return true;
}

uint8_t read_u8(struct reader *reader) {
  uint8_t value;
  take(reader, &value, 1);
  return value;
}
uint16_t read_u16(struct reader *reader) {
  uint16_t value;
  take(reader, &value, 2);
  return value;
}
uint32_t read_u32(struct reader *reader) {
  uint32_t value;
  take(reader, &value, 4);
  return value;
}
uint64_t read_u64(struct reader *reader) {
  uint64_t value;
  take(reader, &value, 8);
  return value;
}

const uint8_t *read_bytes(struct reader *reader, uint32_t *length) {
  const uint8_t *at = reader->at;
  *length = reader->bad ? 0 : (uint32_t)(reader->end - reader->at);
  reader->at = reader->end;
  return at;
}

/* The wire form carries its own NUL, so that a string needs no copy. */
char *read_string(struct reader *reader) {
  uint32_t length = read_u32(reader);
  if (reader->bad || length == 0 || (size_t)(reader->end - reader->at) < length || reader->at[length - 1] != 0) {
    reader->bad = true;
    return "";
  }
  char *text = (char *)(uintptr_t)reader->at;
  reader->at += length;
  return text;
}

void put_bytes(struct writer *writer, const void *bytes, size_t length) {
  if (writer->length + length > writer->capacity) {
    size_t capacity = writer->capacity == 0 ? 256 : writer->capacity;
    while (capacity < writer->length + length) capacity *= 2;
    writer->data = must(realloc(writer->data, capacity));
    writer->capacity = capacity;
  }
  if (length > 0) memcpy(writer->data + writer->length, bytes, length);
  writer->length += length;
}
void put_u8(struct writer *writer, uint8_t value) { put_bytes(writer, &value, 1); }
void put_u16(struct writer *writer, uint16_t value) { put_bytes(writer, &value, 2); }
void put_u32(struct writer *writer, uint32_t value) { put_bytes(writer, &value, 4); }
void put_u64(struct writer *writer, uint64_t value) { put_bytes(writer, &value, 8); }
void put_string(struct writer *writer, const char *text) {
  size_t length = strlen(text);
  put_u32(writer, (uint32_t)length);
  put_bytes(writer, text, length);
}
void writer_free(struct writer *writer) {
  free(writer->data);
  *writer = (struct writer){0};
}
