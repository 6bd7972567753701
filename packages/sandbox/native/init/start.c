/* Ways to start where nobody can hand us a descriptor or say at once what is wanted: in a container, and in a sandbox prepared for whoever comes. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define MOST_OPTIONS 64
#define LONGEST_OPTIONS 65536u

/* Says why over the connection as well: what a container prints nobody may ever see. */
_Noreturn void start_fail(const char *what, const char *subject, int code) {
  char said[1024];
  int length = snprintf(said, sizeof said, "%s %s: %s", what, subject, strerror(errno));
  if (length >= (int)sizeof said) length = sizeof said - 1;
  fprintf(stderr, "guild-init: %s\n", said);
  uint8_t head[9] = {0};
  uint32_t size = (uint32_t)length + 5;
  memcpy(head, &size, 4);
  head[4] = T_GONE;
  if (write(options.connection, head, sizeof head) == (ssize_t)sizeof head && write(options.connection, said, (size_t)length) < 0)
    fputs("guild-init: nobody listens\n", stderr);
  _exit(code);
}

void start_connect(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(options.connect) >= sizeof address.sun_path) _exit(64);
  strcpy(address.sun_path, options.connect);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  uint64_t until = now_ms() + options.patience_ms;
  while (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    if (fd < 0 || (errno != ENOENT && errno != ECONNREFUSED && errno != EACCES) || now_ms() >= until) start_fail("connect to", options.connect, 69);
    usleep(20000);
  }
  /* Out of the way of the descriptors that commands get by number. */
  options.connection = fcntl(fd, F_DUPFD_CLOEXEC, 10);
  if (options.connection < 0) start_fail("keep", "the connection", 71);
  close(fd);
}

static void take(void *to, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t n = read(options.connection, (char *)to + at, length - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(0); /* whoever prepared us does not want us any more */
    at += (size_t)n;
  }
}

/* Says first, with one byte, that everything but its options is there, if that was asked for. `u32 length`, then that many bytes of options, each ended by a NUL. They live as long as we do. */
void start_await(void) {
  if (options.await > 1 && write(options.connection, "", 1) != 1) _exit(0);
  uint32_t length;
  take(&length, sizeof length);
  if (length == 0 || length > LONGEST_OPTIONS) _exit(64);
  char *text = must(malloc(length));
  take(text, length);
  if (text[length - 1] != 0) _exit(64);
  char *arguments[MOST_OPTIONS + 1];
  int count = 0;
  for (char *at = text; at < text + length; at += strlen(at) + 1) {
    if (count == MOST_OPTIONS) _exit(64);
    arguments[count++] = at;
  }
  arguments[count] = NULL;
  parse_options(arguments);
}

/* The same filter wherever we run: what an engine's own lets through, this one may still refuse. */
void start_filter(void) {
  static struct sock_filter program[4096];
  int fd = open(options.filter, O_RDONLY | O_CLOEXEC);
  if (fd < 0) start_fail("open", options.filter, 71);
  ssize_t size = read(fd, program, sizeof program);
  close(fd);
  if (size <= 0 || (size_t)size % sizeof *program != 0) start_fail("read", options.filter, 71);
  struct sock_fprog filter = {.len = (unsigned short)((size_t)size / sizeof *program), .filter = program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0)
    start_fail("put on", options.filter, 71);
}
