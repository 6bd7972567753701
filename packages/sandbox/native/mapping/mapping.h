#ifndef GUILD_MAPPING_H
#define GUILD_MAPPING_H

/* Says why on standard error and ends the program. Each program has its own. */
_Noreturn void fail(const char *what, const char *subject);

/*
 * A user namespace that exists only as the description of a mapping: on a mount with it, what the first two own on disk belongs to the
 * other two, and the other way round. Returns a descriptor. For root.
 */
int id_mapping(long disk_uid, long disk_gid, long uid, long gid);

#endif
