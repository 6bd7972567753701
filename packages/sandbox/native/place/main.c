/* place --pid PID OPTION…: see place.c. */
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void fail(const char *what, const char *subject) {
  fprintf(stderr, "place: cannot %s %s: %s\n", what, subject, strerror(errno));
  exit(71);
}

int main(int argc, char **argv) {
  char path[64];
  if (argc < 3 || strcmp(argv[1], "--pid") != 0) {
    errno = EINVAL;
    fail("find", "--pid");
  }
  snprintf(path, sizeof path, "/proc/%ld", atol(argv[2]));
  int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (process < 0) fail("find", "the sandbox");
  place(process, argv + 3);
  return 0;
}
