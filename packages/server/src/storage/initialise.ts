import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { chmod } from "node:fs/promises";

import type { Binaries } from "./binaries.ts";
import { startError } from "./server-errors.ts";
import type { SystemUser } from "./system-user.ts";

/** Makes an empty database in `directory`, which must be empty and `user`'s. */
export async function initialise(binaries: Binaries, user: SystemUser | undefined, directory: string): Promise<void> {
  const fd = user === undefined ? undefined : openSync(directory, "r");
  try {
    const output = await run(
      spawn(
        binaries.initdb,
        [
          "-D",
          fd === undefined ? directory : "/proc/self/fd/3",
          "-U",
          "guildhall",
          "--auth=trust",
          "--encoding=UTF8",
          "--locale=C",
          "--no-instructions",
        ],
        {
          ...user,
          cwd: "/",
          env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
          stdio: ["ignore", "pipe", "pipe", ...(fd === undefined ? [] : [fd])],
        },
      ),
    );
    if (output.failed) throw startError(output.text, directory, undefined);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
  await chmod(directory, 0o700);
}

async function run(child: ChildProcess): Promise<{ failed: boolean; text: string }> {
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const { promise, resolve } = Promise.withResolvers<boolean>();
  child.once("error", (error) => {
    text += error.message;
    resolve(true);
  });
  child.once("close", (code) => resolve(code !== 0));
  return { failed: await promise, text };
}
