import { execFileSync } from "node:child_process";
import { createReadStream, lstatSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { GuildError } from "@guildhall/core";
import { UploadedFileKind } from "@guildhall/protocol";

import type { Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { workspaceOf } from "./arguments.ts";
import { withConnection } from "./session.ts";

/** Sends a workspace's files: in a repository those that git tracks or would track, elsewhere all of them. Returns the upload's name. */
export async function upload(connection: Connection, directory: string): Promise<string> {
  const answer = await connection.tasks.uploadWorkspace(parts(directory));
  return answer.upload;
}

async function* parts(directory: string) {
  for (const path of filesOf(directory)) {
    const file = join(directory, path);
    const stat = lstatSync(file, { throwIfNoEntry: false });
    // Tracked and deleted, a socket, or a repository of its own.
    if (stat === undefined || !(stat.isFile() || stat.isSymbolicLink())) continue;
    const program = (stat.mode & 0o100) !== 0 ? UploadedFileKind.PROGRAM : UploadedFileKind.FILE;
    const kind = stat.isSymbolicLink() ? UploadedFileKind.LINK : program;
    yield { part: { case: "file" as const, value: { path, kind } } };
    const bytes = stat.isSymbolicLink() ? [Buffer.from(readlinkSync(file))] : createReadStream(file, { highWaterMark: 1 << 20 });
    for await (const chunk of bytes as AsyncIterable<Uint8Array>) yield { part: { case: "chunk" as const, value: chunk } };
  }
}

function filesOf(directory: string): string[] {
  try {
    const listed = execFileSync("git", ["-c", "core.fsmonitor=false", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
      cwd: directory,
      encoding: "utf8",
      maxBuffer: 256 << 20,
      stdio: ["ignore", "pipe", "ignore"],
    });
    return [...new Set(listed.split("\0"))].filter((path) => path !== "");
  } catch {
    // No repository, or no git: everything there is.
    return readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((path) => !path.split("/").includes(".git"));
  }
}

/** `guild task result`: what a task has changed, shown, written to a file, or applied to a directory here. */
export function result(
  context: Context,
  id: string,
  options: { json?: boolean; patch?: string | true; apply?: boolean; workspace?: string },
): Promise<number> {
  return withConnection(context, async (connection) => {
    const pieces: Uint8Array[] = [];
    const files: Array<{ path: string; change: string }> = [];
    let tree = "";
    for await (const part of connection.tasks.getTaskResult({ taskId: id })) {
      if (part.tree !== "") tree = part.tree;
      files.push(...part.files);
      if (part.patch.length > 0) pieces.push(part.patch);
    }
    const patch = Buffer.concat(pieces);
    if (options.patch === true || options.patch === "-") context.stdout.write(patch.toString("utf8"));
    else if (options.patch !== undefined) writeFileSync(options.patch, patch);
    if (options.apply === true && patch.length > 0) applyTo(context, workspaceOf(context, options.workspace), patch, id);
    if (options.patch === true || options.patch === "-") return exitCode.done;
    if (options.json === true) {
      context.stdout.write(`${JSON.stringify({ id, type: "result", tree, files, patch_bytes: patch.length })}\n`);
      return exitCode.done;
    }
    for (const { path, change } of files) context.stdout.write(`${change.padEnd(8)} ${path}\n`);
    const done = options.apply === true ? "applied" : `checkpoint ${tree}`;
    context.stdout.write(`${files.length} file(s), ${done}\n`);
    return exitCode.done;
  });
}

function applyTo(context: Context, directory: string, patch: Uint8Array, id: string): void {
  try {
    execFileSync("git", ["apply", "--whitespace=nowarn", "-"], {
      cwd: directory,
      input: patch,
      stdio: ["pipe", "ignore", "pipe"],
      // Paths are those of this directory, not of a repository around it.
      env: { ...context.env, GIT_CEILING_DIRECTORIES: dirname(directory) },
    });
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim().split("\n")[0] : "";
    throw new GuildError("failed_precondition", `the result does not apply: ${said}`, {
      subject: directory,
      remedy: `nothing was changed; take the patch with guild task result ${id} --patch FILE and apply it by hand`,
      cause: error,
    });
  }
}
