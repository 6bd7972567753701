import { posix } from "node:path";

import { type ExecSpec, GuildError, type Sandbox } from "@guildhall/core";

import { parseHistory, type Change } from "./co-change.ts";
import type { ProjectFile } from "./project-index.ts";

/** A repository as search wants it: its files that are not ignored, and what its commits changed. */
export interface Repository {
  files(signal: AbortSignal): Promise<ProjectFile[]>;
  /** Oldest first, of the last commits; empty where there is no history. */
  history(signal: AbortSignal): Promise<Change[]>;
  /** Changes with every commit. */
  head(signal: AbortSignal): Promise<string>;
}

const MOST_FILES = 20_000;
const MOST_COMMITS = 3_000;
/** Files that are looked at side by side. */
const AT_ONCE = 32;
const MOST_OUTPUT = 64 << 20;
const TOOLKIT = "/run/guildhall/bin";

/** Looked at from inside the sandbox alone, so that no link and no setting of the repository reaches anything else. */
export function repositoryIn(sandbox: Sandbox, workspace: string, toolkit = TOOLKIT): Repository {
  const git = (args: string[], signal: AbortSignal): Promise<string> =>
    run(sandbox, { argv: [posix.join(toolkit, "git"), "-c", "core.quotePath=false", "-C", workspace, ...args] }, signal);
  return {
    async files(signal) {
      const listed = await run(
        sandbox,
        { argv: [posix.join(toolkit, "rg"), "--files", "--null", "--max-filesize", "400K"], cwd: workspace },
        signal,
      );
      const paths = listed.split("\0").filter((path) => path !== "");
      if (paths.length > MOST_FILES) {
        throw new GuildError("resource_exhausted", `${paths.length} files are too many to search by meaning`, {
          subject: workspace,
          remedy: "use search, or open a folder of it as the workspace",
        });
      }
      const found: ProjectFile[] = [];
      for (let from = 0; from < paths.length; from += AT_ONCE) {
        signal.throwIfAborted();
        const some = await Promise.all(paths.slice(from, from + AT_ONCE).map((path) => fileOf(sandbox, workspace, path)));
        found.push(...some.flatMap((one) => one ?? []));
      }
      return found;
    },
    async history(signal) {
      const args = ["log", `-${MOST_COMMITS}`, "--no-merges", "--no-renames", "--relative", "--name-only", "--format=%x00"];
      return parseHistory(await git(args, signal).catch(none)).toReversed();
    },
    head: async (signal) => (await git(["rev-parse", "HEAD"], signal).catch(none)).trim(),
  };
}

async function fileOf(sandbox: Sandbox, workspace: string, path: string): Promise<ProjectFile | undefined> {
  const file = posix.join(workspace, path);
  try {
    const { kind, size, mtimeMs } = await sandbox.files.stat(file);
    if (kind !== "file") return undefined;
    return { path, digest: `${size}/${mtimeMs}`, read: async () => new TextDecoder().decode(await sandbox.files.read(file)) };
  } catch (error) {
    // It has gone since it was listed.
    if (GuildError.is(error, "not_found")) return undefined;
    throw error;
  }
}

/** Not a repository, or one without a commit. */
function none(error: unknown): string {
  if (GuildError.is(error, "failed_precondition")) return "";
  throw error;
}

async function run(sandbox: Sandbox, spec: ExecSpec, signal: AbortSignal): Promise<string> {
  const execution = await sandbox.exec({ ...spec, limits: { wallSeconds: 60 } }, signal);
  try {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const { stream, bytes } of execution.output) {
      if (stream !== "stdout") continue;
      chunks.push(bytes);
      size += bytes.length;
      if (size > MOST_OUTPUT)
        throw new GuildError("resource_exhausted", "the repository has too much to tell", { subject: spec.cwd ?? "" });
    }
    const { code } = await execution.exit;
    // rg ends with 1 when there is no file.
    if (code !== 0 && !(code === 1 && size === 0))
      throw new GuildError("failed_precondition", `${spec.argv[0]} ended with ${code ?? "a signal"}`);
    return Buffer.concat(chunks).toString("utf8");
  } finally {
    await execution.close();
  }
}
