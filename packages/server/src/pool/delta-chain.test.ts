import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { seededRandom } from "@guildhall/core/testing";
import type { Delta } from "@guildhall/protocol";
import { DeltasMessageSchema, HelloSchema, type JoinRequestSchema } from "@guildhall/protocol/internal";

import { createDeltaHub } from "../worker/deltas.ts";
import { DeltaRelay } from "./delta-relay.ts";
import { DeltaSender } from "./delta-sender.ts";
import { newMember, type ToWorker } from "./pool-members.ts";

type Message = MessageInitShape<typeof JoinRequestSchema>;

/** What a watcher has been told of a session's output. */
function output(deltas: Delta[]): string {
  return deltas.map(({ kind }) => (kind.case === "output" ? kind.value.text : "")).join("");
}

/** A worker and an orchestrator, with messages between them that take their time, pile up and are lost with their connection. */
function chain() {
  const far = createDeltaHub(50);
  const near = createDeltaHub(50);
  const sender = new DeltaSender(far, 10);
  let up: Message[] = [];
  let down: ToWorker[] = [];
  const outbox = {
    push: (message: Message) => void up.push(message),
    get length() {
      return up.length;
    },
  };
  const send = (message: ToWorker): void => void down.push(message);
  const member = newMember(create(HelloSchema, { workerId: "far" }), undefined, { send, heard: 0, local: false });
  const relay = new DeltaRelay(near, () => member);
  return {
    far,
    near,
    deliver(most = Infinity) {
      for (const { kind } of down.splice(0, most)) {
        if (kind?.case !== "listen") continue;
        if (kind.value.on === true) sender.begin("a", outbox);
        else sender.end("a");
      }
      for (const { kind } of up.splice(0, most)) {
        if (kind?.case === "deltas") relay.heard(member, create(DeltasMessageSchema, kind.value));
      }
    },
    breakOff() {
      sender.endAll();
      [up, down] = [[], []];
      member.send = undefined;
    },
    comeBack() {
      member.send = send;
      relay.kept("a");
    },
    connected: () => member.send !== undefined,
  };
}

describe("what is on its way", () => {
  it("reaches everyone who watches, whole and once, whenever he comes and whatever breaks (60 seeds)", (test) => {
    test.mock.timers.enable({ apis: ["setTimeout"] });
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed);
      const { far, near, ...wire } = chain();
      const watching: Array<{ seen: Delta[]; leave(): void }> = [];
      let said = "";
      for (let step = 0; step < 300; step++) {
        const what = random.below(8);
        if (what <= 2) {
          for (let piece = random.below(40); piece >= 0; piece--) {
            said += `${step}.${piece} `;
            far.publish("a", { callId: "c", output: `${step}.${piece} ` });
            if (random.below(3) === 0) test.mock.timers.tick(50);
          }
        } else if (what === 3) {
          const seen: Delta[] = [];
          const hub = random.below(4) === 0 ? far : near;
          watching.push({ seen, leave: hub.subscribe("a", (deltas) => void seen.push(...deltas)) });
        } else if (what === 4 && watching.length > 0) watching.splice(random.below(watching.length), 1)[0]?.leave();
        else if (what === 5) test.mock.timers.tick(random.below(80));
        else if (what === 6) wire.deliver(random.below(4));
        else if (random.below(6) === 0) {
          if (wire.connected()) wire.breakOff();
          else wire.comeBack();
        }
      }
      if (!wire.connected()) wire.comeBack();
      for (let round = 0; round < 10; round++) {
        test.mock.timers.tick(100);
        wire.deliver();
      }
      assert.ok(said.length < 32_768, "more is cut");
      for (const { seen } of watching)
        assert.ok(output(seen) === said, `seed ${seed}: ${output(seen).length} of ${said.length} characters`);
      for (const { leave } of watching) leave();
      wire.deliver();
      assert.deepEqual([far.isWatched("a"), near.isWatched("a")], [false, false], `seed ${seed}: nothing is left behind`);
    }
  });
});
