/* The half of a prepared sandbox that stays outside until its workspace is known. */
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LONGEST_OPTIONS 262144u

enum { SOCKET = 2, INFO = 3 };

static void take(void *to, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t n = read(SOCKET, (char *)to + at, length - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(0); /* nobody wants it any more */
    at += (size_t)n;
  }
}

/* Opened at once: should the process end, the directory is not another's who gets its number. */
static int sandbox(void) {
  char text[2048] = {0}, path[64];
  for (size_t at = 0; strchr(text, '}') == NULL;) {
    ssize_t n = read(INFO, text + at, sizeof text - 1 - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(0); /* bubblewrap has failed, and says so itself */
    at += (size_t)n;
  }
  const char *found = strstr(text, "\"child-pid\":");
  snprintf(path, sizeof path, "/proc/%ld", found == NULL ? 0 : atol(found + 12));
  int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (process < 0) fail("find", "the sandbox");
  return process;
}

_Noreturn void place_when_asked(int socket, int info) {
  prctl(PR_SET_NAME, "guild-place");
  signal(SIGPIPE, SIG_IGN);
  int null = open("/dev/null", O_RDWR);
  /* What the others got is none of ours: an end of a connection that stays open here would never be seen to close. */
  int copies[] = {dup(null), dup(null), dup(socket), dup(info)};
  for (int fd = 0; fd < 4; fd++)
    if (copies[fd] < 0 || dup2(copies[fd], fd) != fd) _exit(71);
  close_range(4, ~0u, 0);
  int process = sandbox();
  close(INFO);
  uint32_t length;
  take(&length, sizeof length);
  if (length == 0 || length > LONGEST_OPTIONS) _exit(64);
  char *text = malloc(length), **options = malloc(((size_t)length + 1) * sizeof *options);
  if (text == NULL || options == NULL) fail("hold", "the options");
  take(text, length);
  if (text[length - 1] != 0) _exit(64);
  size_t count = 0;
  for (char *at = text; at < text + length; at += strlen(at) + 1) options[count++] = at;
  options[count] = NULL;
  place(process, options);
  _exit(write(SOCKET, "+", 1) == 1 ? 0 : 71);
}
