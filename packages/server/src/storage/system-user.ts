import { execFile } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";

import { GuildError } from "@guildhall/core";

export interface SystemUser {
  uid: number;
  gid: number;
}

/**
 * The user whom root lets PostgreSQL run as, since it refuses to run as root: the owner of an existing database, else `postgres`, else a
 * system user that is made for it. Throws `failed_precondition`.
 */
export async function databaseUser(databaseDir: string): Promise<SystemUser> {
  const user = await findUser(databaseDir);
  if (isMapped(user.uid, readFileSync("/proc/self/uid_map", "utf8")) && isMapped(user.gid, readFileSync("/proc/self/gid_map", "utf8")))
    return user;
  throw new GuildError("failed_precondition", "PostgreSQL needs a user other than root to run as, and this user namespace has none", {
    subject: `user ${user.uid}`,
    remedy: "map more users into the namespace (/etc/subuid), or run guild as an ordinary user",
  });
}

/** Whether a user namespace has the user or group; `map`: its `uid_map` or `gid_map`, lines of inside, outside, count. */
export function isMapped(id: number, map: string): boolean {
  return map.split("\n").some((line) => {
    const [first = Number.NaN, , count = 0] = line.trim().split(/\s+/).map(Number);
    return id >= first && id < first + count;
  });
}

async function findUser(databaseDir: string): Promise<SystemUser> {
  const owner = ownerOf(databaseDir);
  if (owner !== undefined && owner.uid !== 0) return owner;
  const known = lookUp("postgres") ?? lookUp("guildhall-db");
  if (known !== undefined) return known;
  // A group of that name, left by a user who is gone, is taken up again.
  const group = readFileSync("/etc/group", "utf8").includes("\nguildhall-db:") ? ["--gid", "guildhall-db"] : ["--user-group"];
  try {
    await promisify(execFile)("useradd", ["--system", ...group, "--no-create-home", "--shell", "/usr/sbin/nologin", "guildhall-db"]);
  } catch (error) {
    const made = lookUp("guildhall-db");
    if (made !== undefined) return made;
    throw new GuildError("failed_precondition", "PostgreSQL needs a user other than root to run as, and none could be made", {
      remedy: "make a system user `postgres`, or run guild as an ordinary user",
      cause: error,
    });
  }
  const made = lookUp("guildhall-db");
  if (made === undefined) throw new GuildError("internal", "useradd made no user guildhall-db");
  return made;
}

/** Whether `user` may pass through every folder down to `directory` (access control lists aside). */
export function mayEnter(directory: string, user: SystemUser): boolean {
  for (let path = directory; ; path = dirname(path)) {
    const { mode, uid, gid } = statSync(path);
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

function ownerOf(path: string): SystemUser | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found && { uid: found.uid, gid: found.gid };
}

function lookUp(name: string): SystemUser | undefined {
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [user, , uid, gid] = line.split(":");
    if (user === name) return { uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}
