/* Connections to ports on the sandbox's own loopback, as channels: output is what the peer sends, input what it gets. */
#include "init.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct attempt {
  struct attempt *next;
  struct source source;
  uint32_t id, window;
  uint16_t port;
  bool six;
};

static struct attempt *attempts;

static void on_connected(struct source *source, uint32_t events);

static int try_connect(struct attempt *attempt) {
  int fd = socket(attempt->six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(attempt->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(attempt->port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int result = attempt->six ? connect(fd, (struct sockaddr *)&six, sizeof six) : connect(fd, (struct sockaddr *)&four, sizeof four);
  if (result != 0 && errno != EINPROGRESS) {
    int error = errno;
    close(fd);
    return error;
  }
  source_open(&attempt->source, fd, EPOLLOUT, on_connected);
  return 0;
}

static void drop(struct attempt *attempt) {
  for (struct attempt **link = &attempts; *link != NULL; link = &(*link)->next) {
    if (*link != attempt) continue;
    *link = attempt->next;
    break;
  }
  source_close(&attempt->source);
  free_later(attempt);
}

static void on_connected(struct source *source, uint32_t events) {
  (void)events;
  struct attempt *attempt = attempts;
  while (attempt != NULL && &attempt->source != source) attempt = attempt->next;
  if (attempt == NULL) return;
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0 && !attempt->six) {
    source_close(source);
    attempt->six = true;
    if (try_connect(attempt) == 0) return;
  }
  if (error == 0) {
    struct channel *channel = channel_new(attempt->id, attempt->window);
    channel_output(channel, STREAM_OUT, fcntl(source->fd, F_DUPFD_CLOEXEC, 4));
    channel_input(channel, fcntl(source->fd, F_DUPFD_CLOEXEC, 4));
  }
  reply(attempt->id, error, NULL);
  drop(attempt);
}

void tcp_connect(uint32_t id, struct reader *reader) {
  uint32_t window = read_u32(reader);
  uint16_t port = read_u16(reader);
  if (reader->bad) {
    reply(id, EINVAL, NULL);
    return;
  }
  struct attempt *attempt = must(calloc(1, sizeof *attempt));
  *attempt = (struct attempt){.next = attempts, .source.fd = -1, .id = id, .window = window, .port = port};
  attempts = attempt;
  int error = try_connect(attempt);
  if (error == 0) return;
  reply(id, error, NULL);
  drop(attempt);
}
