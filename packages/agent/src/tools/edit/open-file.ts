import { posix } from "node:path";

import { type FileStat, GuildError, type SandboxFiles } from "@guildhall/core";

import { closest } from "../closest.ts";
import type { WorkspacePath } from "../workspace-path.ts";
import { contentDigest } from "./edit-history.ts";
import { decodeText, type TextDocument } from "./text-document.ts";

/** Larger files are viewed in pieces and edited with other means. */
export const WHOLE_FILE_LIMIT = 32 * 1024 * 1024;

/** A text file as it is now. */
export interface OpenFile {
  bytes: Uint8Array;
  digest: string;
  stat: FileStat;
  document: TextDocument;
}

/** Throws `not_found` (with a likely name), `failed_precondition` for directories, binary and very large files. */
export async function openFile(files: SandboxFiles, path: WorkspacePath): Promise<OpenFile> {
  const stat = await statFile(files, path);
  if (stat.kind !== "file") {
    throw new GuildError("failed_precondition", `${path.shown} is ${stat.kind === "directory" ? "a directory" : "no regular file"}`);
  }
  if (stat.size > WHOLE_FILE_LIMIT) {
    throw new GuildError("failed_precondition", `${path.shown} is too large to edit (${stat.size.toLocaleString("en")} bytes)`, {
      remedy: "use bash",
    });
  }
  const bytes = await files.read(path.real);
  const document = decodeText(bytes);
  if (document === undefined) throw binaryFile(path, bytes);
  return { bytes, digest: contentDigest(bytes), stat, document };
}

/** What the path leads to, links followed. Throws `not_found` with a name that may have been meant. */
export async function statFile(files: SandboxFiles, path: WorkspacePath): Promise<FileStat> {
  const stat = await statIfThere(files, path.real);
  if (stat !== undefined) return stat;
  const near = await similarName(files, path);
  throw new GuildError("not_found", `there is no ${path.shown}${near === undefined ? "" : `; did you mean ${near}?`}`);
}

export async function statIfThere(files: SandboxFiles, path: string): Promise<FileStat | undefined> {
  try {
    return await files.stat(path, { follow: true });
  } catch (error) {
    if (GuildError.is(error, "not_found")) return undefined;
    throw error;
  }
}

function binaryFile(path: WorkspacePath, bytes: Uint8Array): GuildError {
  return new GuildError("failed_precondition", `${path.shown} is a binary file (${bytes.length.toLocaleString("en")} bytes)`, {
    remedy: "use bash, for example file or xxd",
  });
}

async function similarName(files: SandboxFiles, path: WorkspacePath): Promise<string | undefined> {
  try {
    const entries = await files.list(posix.dirname(path.real));
    const near = closest(
      posix.basename(path.real),
      entries.map((entry) => entry.name),
    );
    return near === undefined ? undefined : posix.join(posix.dirname(path.shown), near);
  } catch (error) {
    // The directory is not there either: nothing to suggest.
    if (error instanceof GuildError) return undefined;
    throw error;
  }
}
