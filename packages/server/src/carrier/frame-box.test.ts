import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { seededRandom } from "@guildhall/core/testing";
import { CarryResponseSchema } from "@guildhall/protocol/internal";

import { createFrameBox, type FrameKind, PART_BYTES } from "./frame-box.ts";
import { PartJoiner } from "./part-joiner.ts";

/** Of a call, in order: how long each message is and what it begins with, or that it has ended. */
type Story = Map<number, string[]>;

function tell(story: Story, call: number, text: string): void {
  const own = story.get(call);
  if (own === undefined) story.set(call, [text]);
  else own.push(text);
}

const nameOf = (bytes: Uint8Array): string => `${bytes.length}: ${bytes[0]} … ${bytes[bytes.length >> 1]} … ${bytes.at(-1)}`;

describe("frames on their way", () => {
  it("bring each call's messages whole and in order, however they are mixed and cut", async (t) => {
    const random = seededRandom();
    t.diagnostic(`seed ${random.seed}`);
    const sizes = [0, 1, 300, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES, 10 * PART_BYTES + 7];
    for (let round = 0; round < 8; round++) {
      const box = createFrameBox();
      const [sent, received]: [Story, Story] = [new Map(), new Map()];
      const calls = 1 + random.below(8);
      let left = 60;
      const say = (): void => {
        for (let count = 1 + random.below(12); count > 0 && left > 0; count--, left--) {
          const call = random.below(calls);
          if (random.chance(0.1)) {
            box.push(call, { case: "end", value: {} });
            tell(sent, call, "end");
            continue;
          }
          const value = new Uint8Array(random.pick(sizes)).fill(random.below(256));
          if (value.length > 0) value[value.length >> 1] = random.below(256);
          const kind: FrameKind = { case: random.chance(0.2) ? "last" : "message", value };
          box.push(call, kind);
          tell(sent, call, `${kind.case} ${nameOf(value)}`);
        }
        if (left === 0) box.end();
      };
      say();
      const joiner = new PartJoiner(1 << 30);
      for await (const batch of box.batches()) {
        const { frames } = fromBinary(CarryResponseSchema, toBinary(CarryResponseSchema, create(CarryResponseSchema, batch)));
        assert.ok(frames.reduce((size, { kind }) => size + (kind.value instanceof Uint8Array ? kind.value.length : 0), 0) < 8 * PART_BYTES);
        for (const { call, kind } of frames) {
          if (kind.case === "part") assert.equal(joiner.add(call, kind.value), undefined);
          else if (kind.case === "message" || kind.case === "last")
            tell(received, call, `${kind.case} ${nameOf(joiner.whole(call, kind.value))}`);
          else tell(received, call, kind.case ?? "");
        }
        say();
      }
      assert.deepEqual(Object.fromEntries(received), Object.fromEntries(sent));
    }
  });

  it("let small ones by while a large one is on its way", async () => {
    const box = createFrameBox();
    box.push(1, { case: "last", value: new Uint8Array(100 * PART_BYTES) });
    let before = 0;
    for await (const { frames } of box.batches()) {
      if (before === 0) box.push(2, { case: "last", value: new Uint8Array(10) });
      if (frames.some(({ call }) => call === 2)) break;
      before += frames.length;
    }
    assert.ok(before <= 8, `${before} parts of the other came first`);
  });

  it("say when there is room for more", async () => {
    const box = createFrameBox();
    box.push(1, { case: "last", value: new Uint8Array(1_000) });
    let room = false;
    const waiting = box.room(500).then(() => (room = true));
    await new Promise(setImmediate);
    assert.equal(room, false);
    box.end();
    for await (const { frames } of box.batches()) assert.equal(frames.length, 1);
    await waiting;
  });
});

describe("the parts of a message", () => {
  it("are refused when they become too many", () => {
    const joiner = new PartJoiner(10);
    assert.equal(joiner.add(1, new Uint8Array(9)), undefined);
    assert.match(joiner.add(1, new Uint8Array(2))?.message ?? "", /more than 10 bytes/);
  });
});
