/** An id that no distribution hands out. */
const DEFAULT_USER = { uid: 60789, gid: 60789 };

/** Whom sandboxes run as: the dedicated user when we are root, else ourselves. */
export function sandboxUser(dedicated = DEFAULT_USER): { uid: number; gid: number } {
  const uid = process.geteuid?.() ?? 0;
  return uid === 0 ? dedicated : { uid, gid: process.getegid?.() ?? 0 };
}
