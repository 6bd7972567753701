import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import type { EventLog, SessionRecord } from "@guildhall/core";
import { type Event, EventSchema, TurnEndedSchema, TurnEndReason } from "@guildhall/protocol";

import { createDeltaHub } from "./deltas.ts";
import type { SessionRunner } from "./session-host.ts";
import { watchSession } from "./watch.ts";

const key = { tenant: "local", session: "ses_1" };
const ended = create(TurnEndedSchema, { reason: TurnEndReason.DONE, summary: "done" });
const event = (seq: number): Event =>
  create(EventSchema, seq === 1 ? { seq, body: { case: "turnEnded", value: ended } } : { seq, body: { case: "noticeGiven", value: {} } });

/** A log that has more to tell than anybody takes, and notes when nobody watches it any more. */
function endlessLog(): { log: EventLog; left: Promise<void> } {
  const left = Promise.withResolvers<void>();
  const log = {
    getSession: async (): Promise<Partial<SessionRecord>> => ({ ...key, lastSeq: 1, turnOpen: true }),
    async *watch(_key: unknown, from: number, signal: AbortSignal) {
      try {
        for (let seq = from; !signal.aborted; seq += 1) {
          await new Promise((resolve) => setImmediate(resolve));
          yield [event(seq)];
        }
      } finally {
        left.resolve();
      }
    },
  };
  return { log: log as unknown as EventLog, left: left.promise };
}

/** Until what is to be taken and more waits. */
const piledUp = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 30));

describe("the watch of a session", () => {
  const host = { isRunning: () => true, rested: () => new Promise(() => undefined) } as unknown as SessionRunner;

  it("ends with its reader, however much still waits for him", { timeout: 20_000 }, async () => {
    const { log, left } = endlessLog();
    const options = { from: 1, follow: true, deltas: true, untilTurnEnd: false };
    for await (const { events } of watchSession({ log, host, hub: createDeltaHub() }, key, options, new AbortController().signal)) {
      assert.equal(events[0]?.seq, 1);
      await piledUp();
      break;
    }
    await left;
  });

  it("ends with the turn, however much comes after it", { timeout: 20_000 }, async () => {
    const { log, left } = endlessLog();
    const options = { from: 1, follow: true, deltas: true, untilTurnEnd: true };
    let seen = 0;
    for await (const { events } of watchSession({ log, host, hub: createDeltaHub() }, key, options, new AbortController().signal)) {
      seen += events.length;
      await piledUp();
    }
    assert.equal(seen, 1);
    await left;
  });
});
