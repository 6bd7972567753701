import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { type CheckpointStore, GIT_EXECUTABLE, GIT_SYMLINK, GuildError } from "@guildhall/core";

import type { FileDifference } from "../checkpoint/tree-diff.ts";

const run = promisify(execFile);

/** Longest difference that is shown, bytes. */
const LONGEST = 8 * 1024 * 1024;

/** Changes in the format of `git diff`, by git itself over files written out for it; no configuration but git's own takes effect. */
export async function showChanges(store: CheckpointStore, changes: readonly FileDifference[], temporary: string): Promise<string> {
  if (changes.length === 0) return "";
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  const directory = await mkdtemp(join(temporary, "diff-"));
  try {
    for (const side of ["a", "b"] as const) {
      await mkdir(join(directory, side));
      for (const change of changes) {
        const file = side === "a" ? change.from : change.to;
        if (file === undefined) continue;
        const target = join(directory, side, change.path);
        await mkdir(dirname(target), { recursive: true });
        const { content } = await store.get(file.id);
        if (file.mode === GIT_SYMLINK) await symlink(Buffer.from(content), target);
        else await writeFile(target, content, { mode: file.mode === GIT_EXECUTABLE ? 0o755 : 0o644 });
      }
    }
    return await difference(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function difference(directory: string): Promise<string> {
  const options = ["--no-index", "--no-prefix", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"];
  const env = {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    HOME: directory,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    LC_ALL: "C",
  };
  try {
    const { stdout } = await run("git", ["diff", ...options, "a", "b"], { cwd: directory, env, maxBuffer: LONGEST });
    return stdout;
  } catch (error) {
    const failed = error as { code?: unknown; stdout?: string };
    // 1: they differ. What is too long is cut off at the bound.
    if (failed.code === 1 || failed.code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") {
      // Where one side has no file, git names the other twice.
      return (failed.stdout ?? "").replaceAll(/^diff --git [ab](\/.*) [ab]\1$/gm, "diff --git a$1 b$1");
    }
    throw new GuildError("internal", "git cannot tell the differences", { remedy: "check that git is installed", cause: error });
  }
}
