import { type Model, ModelError } from "@guildhall/core";

import { readRecording, type RecordingEntry, replyFromJson, requestDigest } from "./recording-file.ts";

export interface ReplayOptions {
  spec: string;
  file: string;
  /** Requests may differ from the recorded ones: replies are given in their order whatever is asked. */
  lenient: boolean;
  /** Replies of this session so far: where the recording goes on. */
  step: number;
}

/**
 * A recording said again: the same replies and failures in the same order, without any wait. Unless lenient, every request must be the recorded one; another
 * fails with kind `script`, since what comes after it would be no replay.
 */
export async function replayModel({ spec, file, lenient, step }: ReplayOptions): Promise<Model> {
  const { header, entries } = await readRecording(file);
  let position = positionAfter(entries, step);
  return {
    info: { ...header.info, spec },
    async generate(request, signal, listener) {
      if (signal.aborted) throw new ModelError("cancelled", "the call was cancelled", { cause: signal.reason });
      const entry = entries[position];
      if (entry === undefined) {
        throw new ModelError("script", `${spec} holds ${entries.length} calls, and another was made`, {
          remedy: "record the session anew",
        });
      }
      if (!lenient && entry.request.digest !== requestDigest(request)) {
        throw new ModelError(
          "script",
          `${spec}, call ${position + 1}: the request (${request.messages.length} messages) is not the recorded one (${entry.request.messages} messages)`,
          { remedy: "replay:lenient:<file> gives the recorded replies whatever is asked" },
        );
      }
      position++;
      if (entry.failure !== undefined) {
        const { kind, message, attempts, remedy } = entry.failure;
        throw new ModelError(kind, message, { attempts, ...(remedy === undefined ? {} : { remedy }) });
      }
      const reply = replyFromJson(entry.reply ?? {});
      if (reply.reasoning !== "") listener?.reasoning?.(reply.reasoning);
      if (reply.text !== "") listener?.text?.(reply.text);
      return reply;
    },
    close: async () => {},
  };
}

/** The entry after the `step`th reply. */
function positionAfter(entries: RecordingEntry[], step: number): number {
  let replies = 0;
  for (const [index, entry] of entries.entries()) {
    if (replies === step) return index;
    if (entry.reply !== undefined) replies++;
  }
  return entries.length;
}
