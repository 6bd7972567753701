#ifndef GUILD_PLACE_H
#define GUILD_PLACE_H

#include "../mapping/mapping.h"

/* Does what the options say (see place.c) in the sandbox whose init `process` is: a descriptor of its directory in /proc. Ends the program when it cannot. */
void place(int process, char **options);

/*
 * Reads from `info` what bubblewrap tells of the sandbox that it makes, then waits at `socket` for options: `u32 length`, then that many bytes, each
 * option ended by a NUL. Places, answers "+", and ends; what went wrong is answered instead. Ends at once when the other side has gone.
 */
_Noreturn void place_when_asked(int socket, int info);

#endif
