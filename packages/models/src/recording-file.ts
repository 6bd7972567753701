import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

import { create, fromJson, toJson, type JsonValue } from "@bufbuild/protobuf";
import { GuildError, type ModelFailureKind, type ModelInfo, type ModelReply, type ModelRequest } from "@guildhall/core";
import { ModelRepliedSchema, PromptMessageSchema, ToolSchemaSchema } from "@guildhall/protocol";

import { unreadable } from "./script-file.ts";

/** First line of a recording. */
export interface RecordingHeader {
  guildhall_recording: 1;
  /** The model that was recorded. */
  spec: string;
  info: ModelInfo;
}

/** Every further line: one call and what came of it. */
export interface RecordingEntry {
  request: {
    /** SHA-256 of the request: messages, tools and the limit of the reply. */
    digest: string;
    messages: number;
  };
  /** protobuf JSON of the reply. */
  reply?: JsonValue;
  failure?: { kind: ModelFailureKind; message: string; attempts: number; remedy?: string };
}

/** Reads a recording. A last line that a crash cut off is left out. Throws `not_found`, `permission_denied`, `corrupt`. */
export async function readRecording(file: string): Promise<{ header: RecordingHeader; entries: RecordingEntry[] }> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw unreadable(error, file, "recording");
  }
  const lines = text.split("\n");
  // What comes after the last line feed never was a whole line.
  lines.pop();
  const header = lineOf(lines[0] ?? "") as Partial<RecordingHeader> | undefined;
  if (header?.guildhall_recording !== 1) {
    throw new GuildError("invalid_argument", `${file} is no recording of a model`, {
      subject: file,
      remedy: "make one with recording:<file>:<model>",
    });
  }
  const entries = lines.slice(1).map((line, index): unknown => {
    const entry = lineOf(line);
    if (entry === undefined) throw new GuildError("corrupt", `line ${index + 2} of the recording is no JSON`, { subject: file });
    return entry;
  });
  return { header: header as RecordingHeader, entries: entries as RecordingEntry[] };
}

/** What a request is known by: equal for equal messages, tools and limits. The session's id is no part of it. */
export function requestDigest(request: ModelRequest): string {
  const hash = createHash("sha256");
  for (const message of request.messages) hash.update(JSON.stringify(toJson(PromptMessageSchema, message))).update("\n");
  for (const tool of request.tools) hash.update(JSON.stringify(toJson(ToolSchemaSchema, tool))).update("\n");
  if (request.replySchema !== undefined) hash.update(JSON.stringify(request.replySchema)).update("\n");
  return `sha256:${hash.update(String(request.maxOutputTokens ?? "")).digest("hex")}`;
}

export function replyToJson(reply: ModelReply): JsonValue {
  return toJson(ModelRepliedSchema, create(ModelRepliedSchema, reply));
}

/** The parts of the event that are the model's; the session knows the others. */
export function replyFromJson(value: JsonValue): ModelReply {
  const { text, reasoning, toolCalls, finishReason, usage, durationMs, model, providerData } = fromJson(ModelRepliedSchema, value);
  return { text, reasoning, toolCalls, finishReason, ...(usage === undefined ? {} : { usage }), durationMs, model, providerData };
}

function lineOf(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}
