/*
 * Files that have no name any more and that nobody has open, but somebody runs or has mapped. How large a program is tells its link in /proc; of
 * others nobody does, so that what is mapped while it has a name is remembered. What never was, or can still be written, is of unknown size.
 */
#include "init.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define REMEMBERED 2048 /* a power of two */
#define LONGEST_LINE 8192

static struct {
  ino_t inode;
  uint64_t bytes;
  unsigned look;
} remembered[REMEMBERED];
static size_t count;
static unsigned look;

void mapped_begin(void) {
  look++;
  if (count < REMEMBERED / 2) return;
  memset(remembered, 0, sizeof remembered);
  count = 0;
}

/* Where it is, or would be; SIZE_MAX: there is no more room in this look. */
static size_t place_of(ino_t inode) {
  size_t at = (size_t)inode & (REMEMBERED - 1);
  while (remembered[at].inode != 0 && remembered[at].inode != inode) at = (at + 1) & (REMEMBERED - 1);
  return remembered[at].inode == inode || count < REMEMBERED - 1 ? at : SIZE_MAX;
}

static uint64_t stored(const struct stat *stat) { return (uint64_t)stat->st_blocks * 512; }

/* True: it has the name that it is mapped by. */
static bool has_name(ino_t inode, dev_t device, const char *path) {
  size_t at = place_of(inode);
  if (at != SIZE_MAX && remembered[at].look == look) return true;
  struct stat found;
  if (lstat(path, &found) != 0 || found.st_ino != inode || found.st_dev != device) return false;
  if (at == SIZE_MAX) return true;
  if (remembered[at].inode == 0) count++;
  remembered[at].inode = inode;
  remembered[at].bytes = stored(&found);
  remembered[at].look = look;
  return true;
}

static void add_program(pid_t pid, dev_t device, bool (*fresh)(ino_t, struct own_use *), struct own_use *use) {
  char path[32];
  struct stat program;
  snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
  if (stat(path, &program) != 0 || program.st_nlink != 0 || program.st_dev != device || !fresh(program.st_ino, use)) return;
  use->bytes += stored(&program);
  use->files++;
}

static void add_mapping(char *line, dev_t device, bool (*fresh)(ino_t, struct own_use *), struct own_use *use) {
  char rights[5] = "";
  unsigned major_number, minor_number;
  unsigned long inode;
  int path = 0;
  if (sscanf(line, "%*x-%*x %4s %*x %x:%x %lu %n", rights, &major_number, &minor_number, &inode, &path) < 4 || path == 0) return;
  if (inode == 0 || makedev(major_number, minor_number) != device) return;
  line[strcspn(line, "\n")] = 0;
  static const char mark[] = " (deleted)";
  size_t length = strlen(line);
  if (has_name((ino_t)inode, device, line + path)) return;
  if (length < sizeof mark - 1 || strcmp(line + length - (sizeof mark - 1), mark) != 0) return; /* of another name, or behind a mount */
  if (rights[1] == 'w' && rights[3] == 's') use->closed++;
  if (!fresh((ino_t)inode, use)) return;
  size_t at = place_of((ino_t)inode);
  if (at == SIZE_MAX || remembered[at].inode == 0) {
    use->closed++;
    return;
  }
  use->bytes += remembered[at].bytes;
  use->files++;
}

void mapped_held(pid_t pid, dev_t device, bool (*fresh)(ino_t, struct own_use *), struct own_use *use) {
  add_program(pid, device, fresh, use);
  static char line[LONGEST_LINE];
  snprintf(line, sizeof line, "/proc/%d/maps", (int)pid);
  FILE *maps = fopen(line, "re");
  if (maps == NULL) return; /* ended, or hides its descriptors as well */
  while (fgets(line, sizeof line, maps) != NULL) add_mapping(line, device, fresh, use);
  fclose(maps);
}
