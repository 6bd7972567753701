import { readFileSync } from "node:fs";

import type { ProjectFiles } from "@guildhall/core";

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

/** Branch and commit by git's own files: no git runs, and no configuration of the repository takes effect. Undefined: no repository. */
export async function gitLine({ read }: Pick<ProjectFiles, "read">): Promise<string | undefined> {
  const head = (await read(".git/HEAD"))?.trim();
  if (head === undefined) return undefined;
  const ref = /^ref: refs\/heads\/(.+)$/.exec(head)?.[1];
  if (ref === undefined) return `detached at ${head.slice(0, 12)}`;
  const commit = (await read(`.git/refs/heads/${ref}`))?.trim() ?? packed((await read(".git/packed-refs")) ?? "", ref);
  return `branch ${ref}${commit === undefined ? "" : ` at ${commit.slice(0, 12)}`}`;
}

function packed(text: string, ref: string): string | undefined {
  return text
    .split("\n")
    .find((line) => line.endsWith(` refs/heads/${ref}`))
    ?.split(" ")[0];
}
