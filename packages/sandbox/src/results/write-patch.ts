import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { deflate } from "node:zlib";

import { type CheckpointStore, GuildError } from "@guildhall/core";

import type { FileDifference } from "../checkpoint/tree-diff.ts";

/**
 * Changes as a patch that `git apply` takes: whole, with the bytes of what is no text, streamed from git over a repository made for it, which
 * no attributes and no configuration of anybody reach.
 */
export async function* writePatch(
  store: CheckpointStore,
  changes: readonly FileDifference[],
  temporary: string,
): AsyncGenerator<Uint8Array> {
  if (changes.length === 0) return;
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  const directory = await mkdtemp(join(temporary, "patch-"));
  try {
    for (const part of ["objects", "refs"]) await mkdir(join(directory, part));
    await writeFile(join(directory, "HEAD"), "ref: refs/heads/main\n");
    const [from, to] = [await writeSide(store, changes, "from", directory), await writeSide(store, changes, "to", directory)];
    const options = ["-r", "-p", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"];
    const git = spawn("git", ["diff-tree", ...options, from, to], { env: environment(directory, ""), stdio: ["ignore", "pipe", "ignore"] });
    const ended = new Promise<number | null>((resolve, reject) => git.once("error", reject).once("close", resolve));
    // Whoever reads the output hears of it below.
    ended.catch(() => undefined);
    yield* git.stdout as AsyncIterable<Uint8Array>;
    if ((await ended) !== 0) throw new GuildError("internal", "git cannot write the patch", { remedy: "check that git is installed" });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** One side's versions as objects of that repository; returns the tree that holds them all. */
async function writeSide(
  store: CheckpointStore,
  changes: readonly FileDifference[],
  side: "from" | "to",
  directory: string,
): Promise<string> {
  const lines: string[] = [];
  for (const change of changes) {
    const file = change[side];
    if (file === undefined) continue;
    const { content } = await store.get(file.id);
    const folder = join(directory, "objects", file.id.slice(0, 2));
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, file.id.slice(2)), await deflated(Buffer.concat([Buffer.from(`blob ${content.length}\0`), content])));
    lines.push(`${file.mode.toString(8)} ${file.id}\t${change.path}\0`);
  }
  const env = environment(directory, side);
  const indexed = run("git", ["update-index", "-z", "--add", "--index-info"], { env });
  indexed.child.stdin?.end(lines.join(""));
  await indexed;
  return (await run("git", ["write-tree"], { env })).stdout.trim();
}

const run = promisify(execFile);
const deflated = promisify<Buffer, Buffer>(deflate);

function environment(directory: string, side: string): Record<string, string> {
  return {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    HOME: directory,
    GIT_DIR: directory,
    GIT_INDEX_FILE: join(directory, `index-${side}`),
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    LC_ALL: "C",
  };
}
