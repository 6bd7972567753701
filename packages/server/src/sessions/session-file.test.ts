import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, it } from "node:test";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { body, GuildError } from "@guildhall/core";
import { MemoryBlobStore, MemoryEventLog } from "@guildhall/core/testing";
import { type Event, EventSchema } from "@guildhall/protocol";

import { readSessionFile, writeSessionFile } from "./session-file.ts";

const key = { tenant: "local", session: "ses_1" };

async function example() {
  const log = new MemoryEventLog();
  const blobs = new MemoryBlobStore();
  const fullOutput = await blobs.put(Buffer.from("the whole output"), "text/plain");
  await log.createSession({
    ...key,
    title: "t",
    workspace: "/w",
    actor: "person:x",
    events: [
      body.sessionStarted({ workspace: "/w", model: "m", systemPrompt: "übung\n" }),
      body.messageReceived({ text: "goal" }),
      body.actionFinished({ callId: "c", output: "head", fullOutput }),
    ],
  });
  return { log, blobs };
}

async function text(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(chunks)).toString();
}

async function* inPieces(content: string, size: number): AsyncIterable<Uint8Array> {
  const bytes = Buffer.from(content);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe("a session's file", () => {
  it("holds events and blobs, and reads back the same however it is cut", async () => {
    const deps = await example();
    const content = await text(writeSessionFile(deps, key));
    const lines = content
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(Buffer.from(String(lines.at(-1)?.["content"]), "base64").toString(), "the whole output");
    const { session, events } = await readSessionFile(inPieces(content, 7));
    assert.equal(session, key.session);
    assert.deepEqual(events, await deps.log.read(key, 1, 10));
  });

  it("keeps what a newer version added to an event", async () => {
    const deps = await example();
    // Field 99 of an event, which nobody knows yet.
    const unknown = fromBinary(
      EventSchema,
      Buffer.concat([toBinary(EventSchema, create(EventSchema, { seq: 4 })), Buffer.from([0x98, 0x06, 0x2a])]),
    );
    const read = deps.log.read.bind(deps.log);
    const log = Object.assign(Object.create(deps.log) as typeof deps.log, {
      getSession: async () => ({ ...(await deps.log.getSession(key)), lastSeq: 4 }),
      read: async (of: typeof key, from: number, limit: number): Promise<Event[]> => (from === 4 ? [unknown] : read(of, from, limit)),
    });
    const { events } = await readSessionFile(writeSessionFile({ ...deps, log }, key));
    assert.deepEqual(toBinary(EventSchema, events[3] ?? create(EventSchema)), toBinary(EventSchema, unknown));
  });

  for (const [content, message] of [
    ["", /is empty/],
    ["nonsense\n", /line 1 .* no JSON/],
    ['{"guildhall":"database"}\n', /no session that guild exported/],
    ['{"guildhall":"session","format":99}\n', /format 99/],
    ['{"guildhall":"session","format":1}\n{"event":{"seq":2}}\n', /not complete/],
  ] as const) {
    it(`refuses ${JSON.stringify(content)}`, async () => {
      await assert.rejects(
        readSessionFile(Readable.from([Buffer.from(content)])),
        (error) => GuildError.is(error) && message.test(error.message),
      );
    });
  }
});
