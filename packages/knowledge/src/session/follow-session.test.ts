import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";

import { MemoryEventLog, message, simulatedClock, startSession } from "@guildhall/core/testing";

import { followSession } from "./follow-session.ts";
import { openSessionMemory } from "./session-memory.ts";

test("a memory follows its session's log, from before it opened to what comes, until it is told to stop", async () => {
  const log = new MemoryEventLog();
  const { tenant, session } = await startSession(log);
  const key = { tenant, session };
  await log.appendInput(key, "person:p", [message("The otter sleeps in the attic.")]);
  const memory = openSessionMemory({ clock: simulatedClock() });
  const stop = new AbortController();
  const following = followSession(log, key, memory, stop.signal);
  await log.appendInput(key, "person:p", [message("The heron stands in the cellar.")]);
  for (let turns = 0; memory.size < 2 && turns < 10_000; turns += 1) await nextTurn();
  const { items } = await memory.recall({ query: "heron otter", tokens: 200 });
  assert.deepEqual(items.map((item) => item.source).toSorted(), ["message 2", "message 3"]);
  stop.abort();
  await following;
  await memory.close();
  await log.close();
});
