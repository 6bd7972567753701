/*
 * Stands in the toolkit's bin/ under each tool's name and starts the real one from libexec/ with the toolkit's own loader and
 * libraries, wherever the toolkit is mounted and whatever the system around it has. LOADER is set by build.sh.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[PATH_MAX], loader[PATH_MAX + 64], libraries[PATH_MAX + 64], program[PATH_MAX + 300];

int main(int argc, char **argv) {
  char self[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) {
    fputs("toolkit: /proc is not mounted\n", stderr);
    return 127;
  }
  self[n] = 0;
  char *name = strrchr(self, '/');
  *name++ = 0;
  strcpy(root, self);
  char *below = strstr(root, "/libexec/git-core");
  if (below == NULL) below = strrchr(root, '/');
  *below = 0;
  int git = strncmp(name, "git", 3) == 0;
  snprintf(program, sizeof program, "%s/libexec/%s", root, git ? "git" : name);
  if (git) {
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/libexec/git-core", root);
    setenv("GIT_EXEC_PATH", path, 0);
    snprintf(path, sizeof path, "%s/share/git-core/templates", root);
    setenv("GIT_TEMPLATE_DIR", path, 0);
  }
  snprintf(loader, sizeof loader, "%s/lib/%s", root, LOADER);
  snprintf(libraries, sizeof libraries, "%s/lib", root);
  char **args = calloc((size_t)argc + 8, sizeof *args);
  if (args == NULL) return 127;
  int at = 0;
  args[at++] = loader;
  args[at++] = "--library-path";
  args[at++] = libraries;
  args[at++] = "--argv0";
  args[at++] = strncmp(name, "git-", 4) == 0 ? name : argv[0];
  args[at++] = program;
  for (int i = 1; i < argc; i++) args[at++] = argv[i];
  execv(loader, args);
  perror(loader);
  return 127;
}
