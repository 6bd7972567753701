import { userInfo } from "node:os";

/** Not every user id has a name, in containers for example. */
export function userName(uid: number): string {
  try {
    return userInfo().username;
  } catch {
    return `uid-${uid}`;
  }
}
