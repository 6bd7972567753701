import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema } from "@guildhall/protocol";

import type { EventBody } from "../ports/event-log.ts";
import type { SessionMemory } from "../ports/session-memory.ts";
import { body } from "../session/bodies.ts";
import { seededRandom } from "./random.ts";
import { randomEvents } from "./session-events.ts";

/** The bodies as events of one session, a second apart. */
export function memoryEvents(...bodies: EventBody[]): Event[] {
  return bodies.map((one, index) =>
    create(EventSchema, { seq: index + 1, epoch: 1, time: timestampFromMs(1_767_225_600_000 + index * 1_000), body: one }),
  );
}

/** A call of a tool and its observation. */
export function toolStep(step: number, tool: string, args: unknown, output: string, data?: unknown): EventBody[] {
  const callId = `call_${step}`;
  return [
    body.modelReplied({ step, toolCalls: [{ callId, tool, arguments: JSON.stringify(args) }] }),
    body.actionFinished({ callId, status: 1, output, data: data === undefined ? "" : JSON.stringify(data) }),
  ];
}

/** What every session memory promises. `open` gives an empty one. */
export function sessionMemoryContract(name: string, open: () => Promise<SessionMemory>): void {
  const ids = async (memory: SessionMemory, query: string): Promise<string[]> =>
    (await memory.recall({ query, tokens: 4_000 })).items.map((item) => item.id);

  describe(`${name} as a session memory`, () => {
    it("finds what was said, shown and decided, and says where it comes from", async () => {
      const memory = await open();
      memory.observe(
        memoryEvents(
          body.sessionStarted({ workspace: "/w" }),
          body.messageReceived({ text: "The staging database listens on port 6543." }),
          body.modelReplied({ step: 1, text: "I will use exponential backoff for the uploader." }),
          ...toolStep(2, "bash", { command: "cat VERSION" }, "marmalade 4.2.1"),
        ),
      );
      const database = await memory.recall({ query: "which port has the staging database", tokens: 500 });
      assert.match(database.text, /6543/);
      assert.equal(database.items[0]?.source, "message 2");
      assert.match((await memory.recall({ query: "backoff uploader", tokens: 500 })).text, /exponential/);
      assert.equal((await memory.recall({ query: "marmalade", tokens: 500 })).items[0]?.source, "bash 5");
      assert.equal((await memory.recall({ query: "", tokens: 500 })).text, "");
      await memory.close();
    });

    it("keeps within the budget", async () => {
      const memory = await open();
      const many = Array.from({ length: 50 }, (_, at) =>
        body.messageReceived({ text: `Fact ${at} about lighthouses: ${"word ".repeat(at * 5)}` }),
      );
      memory.observe(memoryEvents(...many));
      for (const tokens of [0, 10, 60, 300, 1_000]) {
        const { text } = await memory.recall({ query: "lighthouses", tokens, limit: 20 });
        assert.ok(Buffer.byteLength(text) <= tokens * 4, `${Buffer.byteLength(text)} bytes for ${tokens} tokens`);
      }
      await memory.close();
    });

    it("remembers the same from the log whether it comes at once, in parts or twice", async () => {
      const log = memoryEvents(
        body.messageReceived({ text: "Please port the parser to Rust." }),
        ...toolStep(1, "remember", { text: "Deploys go out on Thursdays." }, "Remembered", {
          remembered: { id: "m_1", text: "Deploys go out on Thursdays." },
        }),
        ...toolStep(2, "bash", { command: "make" }, "error: missing separator"),
        ...toolStep(3, "forget", { id: "e5" }, "Forgotten", { forgotten: "e5" }),
      );
      const [whole, parts] = [await open(), await open()];
      whole.observe(log);
      for (const event of log) parts.observe([event]);
      parts.observe(log);
      for (const memory of [whole, parts]) {
        assert.equal((await ids(memory, "parser Rust"))[0], "e1");
        assert.equal((await ids(memory, "Thursdays deploys"))[0], "m_1");
        assert.ok(!(await ids(memory, "missing separator")).includes("e5"), "forgotten");
      }
      await whole.close();
      await parts.close();
    });

    it("never stores a recalled memory again, nor the same text twice", async () => {
      const memory = await open();
      const text = "The cache key contains the tenant and the digest of the lock file.";
      const log = memoryEvents(
        body.messageReceived({ text }),
        ...toolStep(1, "recall", { query: "cache key" }, `- [e1, message 1] ${text}`, { recalled: [{ id: "e1" }] }),
        ...toolStep(2, "bash", { command: "make test" }, "42 tests passed in the aardvark suite"),
        ...toolStep(3, "bash", { command: "make test" }, "42 tests passed in the aardvark suite"),
      );
      memory.observe(log);
      const everything = new Set([...(await ids(memory, "cache key tenant digest")), ...(await ids(memory, "aardvark suite"))]);
      assert.deepEqual([...everything].toSorted(), ["e1", "e5"]);
      assert.deepEqual(memory.remember("m_1", "Tests need a display."), { id: "m_1", known: false });
      assert.deepEqual(memory.remember("m_2", "Tests need a display."), { id: "m_1", known: true });
      assert.equal(memory.forget("m_1"), true);
      assert.equal(memory.forget("m_1"), false);
      assert.ok(!(await ids(memory, "display")).includes("m_1"));
      await memory.close();
    });

    it("shows nothing of what came after the given event, and nothing of what a rewind left", async () => {
      const memory = await open();
      const log = memoryEvents(
        body.messageReceived({ text: "The colour is crimson." }),
        body.messageReceived({ text: "The colour is turquoise." }),
        body.sessionRewound({ toSeq: 1, tree: "t" }),
        body.sessionRewound({ toSeq: 2, tree: "t" }),
      );
      memory.observe(log.slice(0, 2));
      const early = await memory.recall({ query: "colour", tokens: 500, throughSeq: 1 });
      assert.deepEqual(
        early.items.map((item) => item.id),
        ["e1"],
      );
      memory.observe(log.slice(0, 3));
      assert.deepEqual(await ids(memory, "colour"), ["e1"]);
      memory.observe(log);
      assert.deepEqual((await ids(memory, "colour")).toSorted(), ["e1", "e2"]);
      await memory.close();
    });

    it("takes any events at all (seeds 1 to 10)", async () => {
      for (let seed = 1; seed <= 10; seed += 1) {
        const memory = await open();
        memory.observe(randomEvents(seededRandom(seed), 150, { broken: seed % 2 === 0 }));
        await memory.recall({ query: "hello world", tokens: 200 });
        await memory.close();
      }
    });

    it("stops when it is told to", async () => {
      const memory = await open();
      memory.observe(memoryEvents(body.messageReceived({ text: "hello" })));
      await assert.rejects(memory.recall({ query: "hello", tokens: 100, signal: AbortSignal.abort(new Error("stop")) }), /stop/);
      await memory.close();
    });
  });
}
