#ifndef GUILD_LAUNCH_H
#define GUILD_LAUNCH_H

#include <stdbool.h>

#include "../mapping/mapping.h"

#define MOST_MOUNTS 64

struct prepared {
  const char *source, *name;
  long uid, gid;
  bool map;
  int fd;
  bool directory;
};

struct plan {
  bool mounts;
  long uid, gid;
  int count;
  struct prepared mount[MOST_MOUNTS];
};

void prepare_mounts(struct plan *);

#endif
