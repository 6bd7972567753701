import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { body, type Event, type SessionKey } from "@guildhall/core";
import { memoryEvents, simulatedClock } from "@guildhall/core/testing";
import { openSessionMemory } from "@guildhall/knowledge";

import { caughtUp, Follower } from "./follower.ts";

describe("following a session's log", () => {
  it("lets whoever recalls find all that is in the log, also what the watch has not brought yet, and takes nothing in twice", async () => {
    const events = memoryEvents(...Array.from({ length: 700 }, (_, at) => body.messageReceived({ text: `Message ${at} of heron${at}.` })));
    const late = Promise.withResolvers<void>();
    const log = {
      read: (_: SessionKey, from: number, limit: number): Promise<Event[]> => Promise.resolve(events.slice(from - 1, from - 1 + limit)),
      async *watch(): AsyncIterable<Event[]> {
        await late.promise;
        yield events;
      },
    };
    const memory = openSessionMemory({ clock: simulatedClock() });
    const taken: number[] = [];
    const counting = Object.assign(Object.create(memory) as typeof memory, {
      observe: (some: readonly Event[]) => {
        taken.push(...some.map((event) => Number(event.seq)));
        memory.observe(some);
      },
    });
    const follower = new Follower(counting);
    const closed = new AbortController();
    const following = follower.follow(log, { tenant: "t", session: "s" }, () => Promise.resolve(), closed.signal);
    const { items } = await caughtUp(memory, follower).recall({ query: "heron699", tokens: 100 });
    assert.match(items[0]?.text ?? "", /heron699/);
    late.resolve();
    await following;
    await follower.catchUpWithLog();
    assert.deepEqual(
      taken,
      events.map((event) => Number(event.seq)),
    );
  });
});
