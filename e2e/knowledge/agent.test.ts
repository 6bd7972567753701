import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";

import { finishTool, runSession, ToolSet } from "@guildhall/agent";
import { body, type Event, type SessionMemory, systemClock } from "@guildhall/core";
import { FakeToolSession, MemoryEventLog } from "@guildhall/core/testing";
import { createMemoryTools, followSession, openSessionMemory } from "@guildhall/knowledge";
import { createModelProvider } from "@guildhall/models";

const key = { tenant: "local", session: "ses_memory" };
const models = createModelProvider({ clock: systemClock(), random: () => 0.5 });
const script = `
description: keeps a fact, and finds it again after another worker has taken over
steps:
  - calls: [{ tool: remember, args: { text: "The staging database listens on port 6543." } }]
  - calls: [{ tool: finish, args: { summary: noted } }]
  - calls: [{ tool: recall, args: { query: "which port has the staging database" } }]
  - calls: [{ tool: finish, args: { summary: found } }]
`;

test("what an agent remembered it recalls after a takeover, from the log alone, and recalling stores nothing", async () => {
  const directory = await mkdtemp(join(tmpdir(), "guild-knowledge-"));
  const file = join(directory, "memory.yaml");
  await writeFile(file, script);
  const log = new MemoryEventLog();
  const started = body.sessionStarted({ workspace: "/w", model: `scripted:${file}`, approvalPolicy: "never" });
  const goal = body.messageReceived({ text: "Note how to reach the database." });
  await log.createSession({ ...key, title: "memory", workspace: "/w", actor: "person:test", events: [started, goal] });

  const before = await work(log, "worker-1");
  await log.appendInput(key, "person:test", [body.messageReceived({ text: "Now use it." })]);
  const after = await work(log, "worker-2");

  const events = await log.read(key, 1, 1_000);
  const outputs = events.flatMap((event: Event) => (event.body.case === "actionFinished" ? [event.body.value.output] : []));
  assert.match(outputs[0] ?? "", /^Remembered as m_/);
  assert.match(outputs[2] ?? "", /\[m_[^\]]*, remembered\] The staging database listens on port 6543\./);
  assert.equal(before.remembered, 1);
  assert.equal(after.remembered, 1, "the recalled fact is there once");
  await log.close();
  await rm(directory, { recursive: true });
});

/** One turn by a worker with a memory of its own, filled from the log. */
async function work(log: MemoryEventLog, worker: string): Promise<{ remembered: number }> {
  const memory = openSessionMemory({ clock: systemClock() });
  const stop = new AbortController();
  const following = followSession(log, key, memory, stop.signal);
  for (let turns = 0; turns < 100; turns += 1) await nextTurn();
  await runSession(
    {
      log,
      key,
      worker,
      takeover: true,
      openModel: ({ spec, step }) => models.open({ spec, step, credentials: {} }),
      tools: new ToolSet([...createMemoryTools(memory), finishTool]),
      toolSession: Promise.resolve(new FakeToolSession()),
      clock: systemClock(),
      unattended: true,
    },
    new AbortController().signal,
  );
  const remembered = await count(memory);
  stop.abort();
  await following;
  await memory.close();
  return { remembered };
}

async function count(memory: SessionMemory): Promise<number> {
  const { items } = await memory.recall({ query: "staging database port", tokens: 1_000, limit: 20 });
  return items.filter((item) => item.text.includes("6543")).length;
}
