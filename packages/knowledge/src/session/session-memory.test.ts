import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Embedder, GuildError, type KnowledgeSource, body } from "@guildhall/core";
import { FakeToolSession, memoryEvents, sessionMemoryContract, simulatedClock, toolContract, toolStep } from "@guildhall/core/testing";
import { Risk } from "@guildhall/protocol";

import { cachedEmbedder } from "../embed/cached-embedder.ts";
import { openVectorStore } from "../embed/vector-store.ts";
import { createMemoryTools } from "../tools/memory-tools.ts";
import { openExactIndex } from "../vectors/exact-index.ts";
import { openSessionMemory, type SessionMemoryOptions } from "./session-memory.ts";

const model = { id: "letters", dimension: 26 };

/** Counts letters; counts what it is asked. */
function letterEmbedder(): Embedder & { asked: number; failing: boolean } {
  const embedder = {
    model,
    asked: 0,
    failing: false,
    async embed(texts: readonly string[], signal?: AbortSignal) {
      signal?.throwIfAborted();
      if (embedder.failing) throw new GuildError("unavailable", "the text encoder is away");
      embedder.asked += texts.length;
      return texts.map((text) => {
        const vector = new Float32Array(26);
        for (const letter of text.toLowerCase()) {
          const at = letter.charCodeAt(0) - 97;
          if (at >= 0 && at < 26) vector[at] = (vector[at] ?? 0) + 1;
        }
        const length = Math.hypot(...vector);
        return length > 0 ? vector.map((value) => value / length) : vector;
      });
    },
    close: () => Promise.resolve(),
  };
  return embedder;
}

async function open(options: Partial<SessionMemoryOptions> = {}, embedder: Embedder = letterEmbedder()) {
  return openSessionMemory({ clock: simulatedClock(), embedder, vectors: await openExactIndex(model), ...options });
}

sessionMemoryContract("words and vectors", open);
sessionMemoryContract("words alone", () => Promise.resolve(openSessionMemory({ clock: simulatedClock() })));

describe("session memory", () => {
  it("embeds nothing again after a restart", async () => {
    const directory = await mkdtemp(join(tmpdir(), "guild-memory-"));
    const log = memoryEvents(body.messageReceived({ text: "alpha beta" }), body.messageReceived({ text: "gamma delta" }));
    const [first, second] = [letterEmbedder(), letterEmbedder()];
    for (const inner of [first, second]) {
      const embedder = cachedEmbedder(inner, { store: await openVectorStore(directory, model) });
      const memory = await open({}, embedder);
      memory.observe(log);
      await memory.settled();
      assert.equal(memory.lag, 0);
      await memory.close();
      await embedder.close();
    }
    assert.deepEqual([first.asked, second.asked], [2, 0]);
    await rm(directory, { recursive: true });
  });

  it("recalls by words and says so while the encoder is away, and catches up when it is back", async () => {
    const embedder = letterEmbedder();
    embedder.failing = true;
    const memory = await open({}, embedder);
    memory.observe(memoryEvents(body.messageReceived({ text: "The lease is eight seconds." })));
    const found = await memory.recall({ query: "lease", tokens: 100 });
    assert.match(found.text, /eight seconds/);
    assert.match(found.degraded.join(), /the text encoder is away/);
    await assert.rejects(memory.settled(), /away/);
    assert.equal(memory.lag, 1);
    embedder.failing = false;
    await memory.settled();
    assert.deepEqual((await memory.recall({ query: "lease", tokens: 100 })).degraded, []);
    await memory.close();
  });

  it("asks the workshop along, and goes on without it when it is away or slow", async () => {
    const there: KnowledgeSource = {
      name: "workshop",
      search: async () => [{ id: "k1", text: "Leases are renewed every two seconds.", source: "workshop", score: 7 }],
    };
    const away: KnowledgeSource = { name: "gone", search: () => Promise.reject(new GuildError("unavailable", "no connection")) };
    const slow: KnowledgeSource = { name: "slow", search: () => new Promise(() => undefined) };
    const memory = await open({ sources: [there, away, slow], sourceTimeoutMs: 20 });
    memory.observe(memoryEvents(body.messageReceived({ text: "The lease is eight seconds." })));
    const found = await memory.recall({ query: "lease", tokens: 200 });
    assert.deepEqual(found.items.map((item) => item.id).toSorted(), ["e1", "k1"]);
    assert.deepEqual(found.degraded, ["gone: no connection", "slow: it does not answer"]);
    await memory.close();
  });

  it("lets the least valuable go, explains it, and keeps what is pinned or not synchronised", async () => {
    const memory = await open({ retention: { maxItems: 20 } });
    memory.remember("pinned", "Never push on a Friday.", { pinned: true });
    memory.observe(memoryEvents(body.messageReceived({ text: "Held back for the workshop: the zebra rule." })));
    memory.holdForSync(["e1"]);
    assert.equal(memory.why("e1")?.kept, "not synchronised yet");
    await memory.recall({ query: "zebra", tokens: 100 });
    const many = Array.from({ length: 60 }, (_, at) =>
      toolStep(at, "bash", { command: `n${at}` }, `result number${at} word${at * 7}`),
    ).flat();
    memory.observe(memoryEvents(body.messageReceived({ text: "" }), ...many));
    assert.ok(memory.size <= 20);
    assert.equal(memory.why("pinned")?.kept, "pinned");
    const held = memory.why("e1");
    assert.ok(held !== undefined && held.parts.use > 0 && held.score > 0);
    memory.synchronised(["e1"]);
    const [later] = memoryEvents(body.turnEnded({ summary: "Much later." }));
    assert.ok(later?.time !== undefined);
    memory.observe([{ ...later, seq: 1_000, time: timestampFromMs(timestampMs(later.time) + 60 * 24 * 60 * 60 * 1000) }]);
    const left = memory.collect();
    assert.ok(!left.includes("pinned") && !left.includes("e1"), "the one is pinned, the other was used");
    assert.deepEqual(
      ["pinned", "e1", "e1000"].map((id) => memory.get(id) !== undefined),
      [true, true, true],
    );
    assert.equal(memory.size, 3);
    await memory.close();
  });

  it("keeps all of a session that rested for a year", async () => {
    const memory = await open({ clock: simulatedClock({ start: new Date("2027-06-01") }) });
    memory.observe(memoryEvents(body.messageReceived({ text: "The wombat is in the boiler room." })));
    assert.equal((await memory.recall({ query: "wombat", tokens: 100 })).items[0]?.id, "e1");
    await memory.close();
  });

  it("counts what a file showed before it was changed as out of date", async () => {
    const memory = await open();
    const show = (step: number, text: string) => toolStep(step, "edit", { command: "view", path: "src/a.ts" }, text);
    memory.observe(
      memoryEvents(
        ...show(1, "const timeout = 5; // quokka"),
        ...toolStep(2, "edit", { command: "replace", path: "src/a.ts" }, "edited: quokka timeout 9"),
      ),
    );
    assert.equal(memory.get("e2")?.importance, 0.1);
    assert.equal((await memory.recall({ query: "quokka timeout", tokens: 300 })).items[0]?.id, "e4");
    await memory.close();
  });

  it("costs little a step, however long the session (pieces stay bounded)", async () => {
    const memory = openSessionMemory({ clock: simulatedClock(), retention: { maxItems: 50 } });
    const log = memoryEvents(
      ...Array.from({ length: 500 }, (_, at) => body.messageReceived({ text: `message about item${at} and thing${at * 3}` })),
    );
    for (const event of log) memory.observe([event]);
    assert.ok(memory.size <= 50);
    await memory.close();
  });
});

describe("the memory tools", () => {
  it("recall, remember and forget, each result telling the log what it did", async () => {
    const memory = openSessionMemory({ clock: simulatedClock() });
    const [recall, remember, forget] = createMemoryTools(memory);
    assert.ok(recall !== undefined && remember !== undefined && forget !== undefined);
    const context = new FakeToolSession().context({ callId: "c1" });
    const kept = await remember.execute({ text: "Use port 6543.", pin: true }, context);
    assert.deepEqual(kept.data, { remembered: { id: "m_c1", text: "Use port 6543.", pinned: true } });
    const later = new FakeToolSession().context({ callId: "c2" });
    assert.equal((await remember.execute({ text: "Use port 6543." }, later)).output, "Known already, as m_c1.");
    assert.match((await recall.execute({ query: "port" }, context)).output, /\[m_c1, remembered\] Use port 6543\./);
    assert.equal((await recall.execute({ query: "submarine" }, context)).output, "Nothing relevant is known.");
    assert.deepEqual((await forget.execute({ id: "m_c1" }, context)).data, { forgotten: "m_c1" });
    assert.equal((await forget.execute({ id: "m_c1" }, context)).status, "error");
    assert.equal(recall.risk({}), Risk.LOW);
    await memory.close();
  });
});

const memory = openSessionMemory({ clock: simulatedClock() });
const fixture = {
  open: () => {
    const session = new FakeToolSession();
    const context = (signal?: AbortSignal) => session.context(signal === undefined ? {} : { signal });
    return Promise.resolve({ context, close: () => Promise.resolve() });
  },
};
const [recallTool, rememberTool, forgetTool] = createMemoryTools(memory);
assert.ok(recallTool !== undefined && rememberTool !== undefined && forgetTool !== undefined);
toolContract(rememberTool, {
  ...fixture,
  examples: [
    { args: { text: "The door code is blue.", title: "Door", pin: true }, status: "ok" },
    { args: { text: "  " }, status: "error" },
  ],
  refused: [{}, { text: "" }, { text: "x", other: 1 }],
});
toolContract(recallTool, {
  ...fixture,
  examples: [
    { args: { query: "door" }, status: "ok" },
    { args: { query: "submarine", limit: 3 }, status: "ok" },
  ],
  refused: [{}, { query: "" }, { query: "x", limit: 0 }],
});
toolContract(forgetTool, { ...fixture, examples: [{ args: { id: "nothing" }, status: "error" }], refused: [{}, { id: 3 }] });
