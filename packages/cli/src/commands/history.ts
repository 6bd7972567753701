import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { resolve } from "node:path";
import { pipeline } from "node:stream/promises";

import { GuildError } from "@guildhall/core";

import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { sessionLine } from "../output/json.ts";
import { present, withConnection } from "./session.ts";

interface JsonOption {
  json?: boolean;
}

/** `guild session export`. */
export function exportSession(context: Context, id: string, options: { output?: string }): Promise<number> {
  return withConnection(context, async (connection) => {
    await writeChunks(context, options.output, connection.sessions.exportSession({ sessionId: id }));
    return exitCode.done;
  });
}

/** `guild session replay`: exit code 1 when the logs differ. */
export function replay(context: Context, file: string, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const result = await connection.sessions.replaySession(readChunks(context, file));
    if (options.json === true) {
      const line = {
        id: file,
        type: "replay",
        identical: result.identical,
        events: result.events,
        first_difference: result.firstDifference,
        difference: result.difference,
      };
      context.stdout.write(`${JSON.stringify(line)}\n`);
    } else if (result.identical) {
      context.stdout.write(`identical: ${result.events} events\n`);
    } else {
      context.stdout.write(`different from event ${result.firstDifference}: ${result.difference}\n`);
    }
    return result.identical ? exitCode.done : exitCode.failed;
  });
}

/** `guild session fork`. */
export function fork(context: Context, id: string, options: JsonOption & { at: number; workspace?: string }): Promise<number> {
  return withConnection(context, async (connection) => {
    const workspace = options.workspace === undefined ? "" : resolve(context.cwd, options.workspace);
    const session = present((await connection.sessions.forkSession({ sessionId: id, atSeq: options.at, workspace })).session);
    if (options.json === true) context.stdout.write(`${JSON.stringify(sessionLine(session))}\n`);
    else context.stdout.write(`session ${session.id} in ${session.workspace}\ncontinue with: guild session send ${session.id} "…"\n`);
    return exitCode.done;
  });
}

/** `guild session rewind`. */
export function rewind(context: Context, id: string, options: JsonOption & { to: number }): Promise<number> {
  return withConnection(context, async (connection) => {
    const result = await connection.sessions.rewindSession({ sessionId: id, toSeq: options.to });
    if (options.json === true) {
      const line = {
        id,
        type: "rewind",
        to: options.to,
        restored_tree: result.restoredTree,
        before_tree: result.beforeTree,
        changed_files: result.changedFiles,
      };
      context.stdout.write(`${JSON.stringify(line)}\n`);
    } else {
      const lastSeq = present(result.session).lastSeq;
      context.stdout.write(
        `rewound to event ${options.to}: ${result.changedFiles} file(s) put back\nundo with: guild session rewind ${id} --to ${lastSeq - 1}\n`,
      );
    }
    return exitCode.done;
  });
}

/** Writes a stream of chunks to a file (never over one that is there) or stdout. */
export async function writeChunks(
  context: Context,
  output: string | undefined,
  responses: AsyncIterable<{ chunk: Uint8Array }>,
): Promise<void> {
  if (output === undefined) {
    // To a terminal as text, which is made harmless there.
    const text = context.stdout.isTTY === true ? new TextDecoder() : undefined;
    for await (const { chunk } of responses) {
      if (!context.stdout.write(text?.decode(chunk, { stream: true }) ?? chunk)) await once(context.stdout, "drain");
    }
    return;
  }
  const file = resolve(context.cwd, output);
  await pipeline(chunksOf(responses), createWriteStream(file, { flags: "wx", mode: 0o600 })).catch((error: unknown) => {
    throw fileError(error, file);
  });
}

/** A file's bytes in requests of a moderate size. */
export async function* readChunks(context: Context, name: string): AsyncIterable<{ chunk: Uint8Array }> {
  const file = resolve(context.cwd, name);
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 256 * 1024 })) yield { chunk: chunk as Uint8Array<ArrayBuffer> };
  } catch (error) {
    throw fileError(error, file);
  }
}

async function* chunksOf(responses: AsyncIterable<{ chunk: Uint8Array }>): AsyncIterable<Uint8Array> {
  for await (const { chunk } of responses) yield chunk;
}

function fileError(error: unknown, file: string): GuildError {
  if (GuildError.is(error)) return error;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const options = { subject: file, cause: error };
  if (code === "ENOENT") return new GuildError("not_found", "there is no such file", { ...options, remedy: "check its name" });
  if (code === "EEXIST") return new GuildError("already_exists", "the file exists already", { ...options, remedy: "choose another name" });
  if (code === "EACCES")
    return new GuildError("permission_denied", "the file cannot be opened", { ...options, remedy: "check its owner and mode" });
  if (code === "ENOSPC")
    return new GuildError("storage_full", "the disk is full", { ...options, remedy: "make room and run the command again" });
  if (code === "EISDIR") return new GuildError("invalid_argument", "this is a directory", { ...options, remedy: "name a file" });
  return GuildError.from(error);
}
