import { readFileSync } from "node:fs";

/** `linux x64, Debian GNU/Linux 12 (bookworm)`. */
export function platform(): string {
  let name = "";
  try {
    name = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "";
  } catch {
    // not every system has one
  }
  return `${process.platform} ${process.arch}${name === "" ? "" : `, ${name}`}`;
}
