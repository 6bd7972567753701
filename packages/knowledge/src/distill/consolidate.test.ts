import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { body } from "@guildhall/core";
import { memoryEvents, toolStep } from "@guildhall/core/testing";
import { type Knowledge, KnowledgeSchema, ScopeKind } from "@guildhall/protocol";

import { consolidate } from "./consolidate.ts";
import { transcriptOf } from "./transcript.ts";

type Shape = Exclude<MessageInitShape<typeof KnowledgeSchema>, Knowledge>;

const fact = (id: string, text: string, session: string, more: Shape = {}): Knowledge =>
  create(KnowledgeSchema, {
    id,
    text,
    scope: { kind: ScopeKind.PROJECT, id: "p" },
    evidence: [{ kind: { case: "events", value: { sessionId: session, seqs: [1] } } }],
    ...more,
  });

describe("joining what several sessions learned", () => {
  it("groups what says much the same, of one scope and with the same exact values, from more than one session", () => {
    const alike = [
      fact("a", "Integration tests need the staging database running on port 6543.", "s1"),
      fact("b", "The staging database on port 6543 has to be running for integration tests.", "s2"),
      fact("c", "Integration tests need the staging database up and running on port 6543 first.", "s3", { confidence: 0.9 }),
    ];
    const apart = [
      fact("d", "Integration tests need the staging database running on port 6544.", "s4"),
      fact("e", "Integration tests do not need the staging database running on port 6543.", "s5"),
      fact("f", "Integration tests need the staging database running on port 6543.", "s6", { scope: { kind: ScopeKind.PROJECT, id: "q" } }),
      fact("g", "Menus are drawn by the kiosk alone.", "s7"),
      fact("h", "Menus are drawn by the kiosk alone, always.", "s7"),
    ];
    for (const order of [[...alike, ...apart], [...apart, ...alike].toReversed()]) {
      const groups = consolidate(order);
      assert.deepEqual(
        groups.map(({ members }) => members.map(({ id }) => id)),
        [["a", "b", "c"]],
      );
      assert.ok(["a", "c"].includes(groups[0]?.best.id ?? ""));
    }
  });
});

describe("a session as lines for a model", () => {
  it("keeps its beginning and its end within bounds, with the numbers to cite", () => {
    const events = memoryEvents(
      body.messageReceived({ text: "Mend the menus." }),
      ...Array.from({ length: 300 }, (_, at) => toolStep(at, "bash", { command: `look ${at}` }, `saw ${at} ${"x".repeat(2_000)}`)).flat(),
      body.messageReceived({ text: "That was it." }),
    );
    const text = transcriptOf(events, { characters: 8_000 });
    assert.ok(text.length < 9_500, String(text.length));
    assert.match(text, /^\[1\] person: Mend the menus\./);
    assert.match(text, /\n\(\d+ more lines\)\n/);
    assert.match(text, new RegExp(`\\n\\[${events.length}\\] person: That was it\\.$`));
  });
});
