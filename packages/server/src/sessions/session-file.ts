import { Buffer } from "node:buffer";

import { fromBinary, fromJson, toBinary, toJson, type JsonValue } from "@bufbuild/protobuf";
import { type BlobStore, type EventLog, GuildError, type SessionKey } from "@guildhall/core";
import { VERSION } from "@guildhall/core/paths";
import { type Event, EventSchema } from "@guildhall/protocol";

/** A session that was read from its file. */
export interface SessionFile {
  version: string;
  session: string;
  events: Event[];
}

/** Number of the format; a reader takes its own and the one before. */
const format = 1;

/**
 * A whole session as JSON lines: `{"guildhall": "session", …}`, one `{"event": …}` each (with `bytes` where JSON would lose what a newer version
 * added), one `{"blob": <digest>, …, "content": <base64>}` for each large output. Replies of the model are events, so this is its recording too.
 */
export async function* writeSessionFile(deps: { log: EventLog; blobs: BlobStore }, key: SessionKey): AsyncIterable<Uint8Array> {
  const record = await deps.log.getSession(key);
  yield line({ guildhall: "session", format, version: VERSION, session: key.session, title: record.title, events: record.lastSeq });
  const blobs = new Map<string, string>();
  for (let from = 1; from <= record.lastSeq;) {
    const events = await deps.log.read(key, from, 200);
    if (events.length === 0) break;
    for (const event of events) {
      if (event.body.case === "actionFinished" && event.body.value.fullOutput !== undefined) {
        blobs.set(event.body.value.fullOutput.digest, event.body.value.fullOutput.mediaType);
      }
      yield line(eventToJson(event));
    }
    from += events.length;
  }
  for (const [digest, mediaType] of blobs) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of deps.blobs.get(digest)) chunks.push(chunk);
    yield line({ blob: digest, media_type: mediaType, content: Buffer.concat(chunks).toString("base64") });
  }
}

/** Reads what `writeSessionFile` wrote. Throws `invalid_argument` with the number of the line that is wrong. */
export async function readSessionFile(chunks: AsyncIterable<Uint8Array>): Promise<SessionFile> {
  let header: Record<string, unknown> | undefined;
  const events: Event[] = [];
  let number = 0;
  for await (const text of lines(chunks)) {
    number++;
    if (text.trim() === "") continue;
    const value = parseLine(text, number);
    if (header === undefined) {
      header = value;
      if (value["guildhall"] !== "session") throw wrong(number, "this is no session that guild exported");
      if (value["format"] !== format) {
        throw new GuildError("version_mismatch", `the file has format ${String(value["format"])}`, {
          remedy: "read it with the version that wrote it",
        });
      }
      continue;
    }
    if (value["event"] !== undefined) events.push(eventFromJson(value, number));
  }
  if (header === undefined) throw new GuildError("invalid_argument", "the file is empty", { remedy: "export the session again" });
  const [first] = events;
  if (first?.body.case !== "sessionStarted" || events.some((event, index) => event.seq !== index + 1)) {
    throw new GuildError("invalid_argument", "the file's events are not complete", { remedy: "export the session again" });
  }
  return { version: String(header["version"]), session: String(header["session"]), events };
}

function eventToJson(event: Event): Record<string, unknown> {
  const json = toJson(EventSchema, event, { useProtoFieldName: true });
  const bytes = toBinary(EventSchema, event);
  const again = toBinary(EventSchema, fromJson(EventSchema, json));
  return Buffer.from(bytes).equals(again) ? { event: json } : { event: json, bytes: Buffer.from(bytes).toString("base64") };
}

function eventFromJson(value: Record<string, unknown>, number: number): Event {
  try {
    if (typeof value["bytes"] === "string") return fromBinary(EventSchema, Buffer.from(value["bytes"], "base64"));
    return fromJson(EventSchema, value["event"] as JsonValue, { ignoreUnknownFields: true });
  } catch (error) {
    throw wrong(number, error instanceof Error ? error.message : String(error), error);
  }
}

function parseLine(text: string, number: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw wrong(number, "it is no JSON", error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(number, "it is no JSON object");
  return value as Record<string, unknown>;
}

function wrong(number: number, message: string, cause?: unknown): GuildError {
  return new GuildError("invalid_argument", `line ${number} of the file cannot be read: ${message}`, {
    remedy: "export the session again",
    cause,
  });
}

function line(value: Record<string, unknown>): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

async function* lines(chunks: AsyncIterable<Uint8Array>): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}
