/* Ports on the sandbox's own loopback whose connections the host takes, one for each time it asks: the way out where no socket can be mounted. */
#include "init.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* The host asks for the next connection before there is one. */
struct asked {
  struct asked *next;
  uint32_t id, window;
};

struct listener {
  struct listener *next;
  struct source source;
  uint16_t port;
  struct asked *first, **last;
};

static struct listener *listeners;

static struct listener *listener_at(uint16_t port) {
  struct listener *listener = listeners;
  while (listener != NULL && listener->port != port) listener = listener->next;
  return listener;
}

static void on_waiting(struct source *source, uint32_t events) {
  (void)events;
  struct listener *listener = listeners;
  while (listener != NULL && &listener->source != source) listener = listener->next;
  if (listener == NULL) return;
  while (listener->first != NULL) {
    int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) break;
    struct asked *asked = listener->first;
    listener->first = asked->next;
    if (listener->first == NULL) listener->last = &listener->first;
    /* Commands get the low descriptors by number. */
    struct channel *channel = channel_new(asked->id, asked->window);
    channel_output(channel, STREAM_OUT, fcntl(fd, F_DUPFD_CLOEXEC, 4));
    channel_input(channel, fcntl(fd, F_DUPFD_CLOEXEC, 4));
    close(fd);
    reply(asked->id, 0, NULL);
    free(asked);
  }
  source_interest(source, listener->first == NULL ? EPOLLET : EPOLLIN);
}

void tcp_listen(uint32_t id, struct reader *reader) {
  uint16_t port = read_u16(reader);
  if (reader->bad || listener_at(port) != NULL) {
    reply(id, reader->bad ? EINVAL : EADDRINUSE, NULL);
    return;
  }
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int yes = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 128) != 0) {
    int error = errno;
    if (fd >= 0) close(fd);
    reply(id, error, NULL);
    return;
  }
  struct listener *listener = must(calloc(1, sizeof *listener));
  listener->next = listeners;
  listener->port = port;
  listener->last = &listener->first;
  listeners = listener;
  source_open(&listener->source, fd, EPOLLET, on_waiting);
  reply(id, 0, NULL);
}

void tcp_accept(uint32_t id, struct reader *reader) {
  uint32_t window = read_u32(reader);
  uint16_t port = read_u16(reader);
  struct listener *listener = reader->bad ? NULL : listener_at(port);
  if (listener == NULL) {
    reply(id, reader->bad ? EINVAL : ENOENT, NULL);
    return;
  }
  struct asked *asked = must(calloc(1, sizeof *asked));
  *asked = (struct asked){.id = id, .window = window};
  *listener->last = asked;
  listener->last = &asked->next;
  source_interest(&listener->source, EPOLLIN);
}
