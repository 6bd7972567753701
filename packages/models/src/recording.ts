import { open, type FileHandle } from "node:fs/promises";

import { GuildError, type Model, ModelError, type ModelReply } from "@guildhall/core";

import { type RecordingEntry, type RecordingHeader, replyToJson, requestDigest } from "./recording-file.ts";

export interface RecordingOptions {
  /** The specification of the recording itself. */
  spec: string;
  file: string;
  inner: Model;
  /** Replies of this session so far: 0 begins a recording, anything else goes on with one. */
  step: number;
}

/**
 * Another model, every call of which is written down before its reply is given: one JSON object a line, durable. A recording is never written over: a session
 * that begins where there is one already is refused with `already_exists`.
 */
export async function recordingModel({ spec, file, inner, step }: RecordingOptions): Promise<Model> {
  const handle = await openForAppend(file);
  try {
    await begin(handle, file, inner, step);
  } catch (error) {
    await handle.close();
    throw error;
  }
  // Calls that run side by side are written one after the other.
  let last: Promise<void> = Promise.resolve();
  const write = (entry: RecordingEntry): Promise<void> => {
    const written = last.then(() => append(handle, entry, file));
    // Its caller is told; the next write goes on.
    last = written.catch(() => undefined);
    return written;
  };
  return {
    info: { ...inner.info, spec },
    async generate(request, signal, listener) {
      const asked = { digest: requestDigest(request), messages: request.messages.length };
      let reply: ModelReply;
      try {
        reply = await inner.generate(request, signal, listener);
      } catch (error) {
        // A cancelled call is no answer of the model.
        if (error instanceof ModelError && error.kind !== "cancelled") {
          const { kind, message, attempts, remedy } = error;
          await write({ request: asked, failure: { kind, message, attempts, ...(remedy === undefined ? {} : { remedy }) } });
        }
        throw error;
      }
      await write({ request: asked, reply: replyToJson(reply) });
      return reply;
    },
    async close() {
      await last;
      await handle.close();
      await inner.close();
    },
  };
}

async function openForAppend(file: string): Promise<FileHandle> {
  try {
    return await open(file, "a+", 0o600);
  } catch (error) {
    throw new GuildError("failed_precondition", `the recording ${file} cannot be opened for writing: ${(error as Error).message}`, {
      subject: file,
      remedy: "give a file in a directory that exists and may be written",
      cause: error,
    });
  }
}

async function begin(handle: FileHandle, file: string, inner: Model, step: number): Promise<void> {
  const text = (await handle.readFile()).toString("utf8");
  // The line that a crash cut off is taken away, so that the next one stands alone.
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  if (whole.length < text.length) await handle.truncate(Buffer.byteLength(whole));
  if (whole === "") {
    const header: RecordingHeader = { guildhall_recording: 1, spec: inner.info.spec, info: inner.info };
    await append(handle, header, file);
    return;
  }
  if (step === 0 && whole.indexOf("\n") < whole.length - 1) {
    throw new GuildError("already_exists", `${file} holds a recording already`, {
      subject: file,
      remedy: "give another file, or delete this one",
    });
  }
}

async function append(handle: FileHandle, line: RecordingEntry | RecordingHeader, file: string): Promise<void> {
  try {
    await handle.appendFile(`${JSON.stringify(line)}\n`);
    await handle.datasync();
  } catch (error) {
    const full = (error as NodeJS.ErrnoException).code === "ENOSPC";
    throw new GuildError(full ? "storage_full" : "internal", `the recording ${file} could not be written: ${(error as Error).message}`, {
      subject: file,
      cause: error,
    });
  }
}
