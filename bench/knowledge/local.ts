/** What sessions learn, durable: messages appended to their logs in PostgreSQL, taken in by their memories, and found there by words. */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { body, GuildError, systemClock } from "@guildhall/core";
import { started } from "@guildhall/core/testing";
import { openSessionMemory } from "@guildhall/knowledge";
import { openStorage } from "@guildhall/server/storage";

import { percentile, table } from "../table.ts";

const directory = mkdtempSync(join(tmpdir(), "guild-bench-"));
const storage = await openStorage({ dataDir: join(directory, "data"), runtimeDir: join(directory, "run") });
const { log } = storage;
const clock = systemClock();

/** One session writes `count` messages, `atOnce` with each append; when the last of each is found. */
async function session(count: number, atOnce: number): Promise<number[]> {
  const key = { tenant: "local", session: `ses_${randomUUID()}` };
  await log.createSession({ ...key, title: "bench", workspace: "/w", actor: "system", events: [started()] });
  const { epoch } = await log.acquireLease(key, "bench", 600_000);
  const memory = openSessionMemory({ clock });
  const visible: number[] = [];
  for (let from = 0; from < count; from += atOnce) {
    const began = performance.now();
    const events = Array.from({ length: atOnce }, (_, at) =>
      body.messageReceived({ text: `The service of team${(from + at) % 37} listens on port ${from + at} behind gate${from + at}.` }),
    );
    memory.observe(await log.append({ ...key, expectedSeq: from + 1, epoch, actor: "worker:1", events }));
    const { items } = await memory.recall({ query: `gate${from + atOnce - 1}`, tokens: 200, limit: 1 });
    if (items.length !== 1) throw new GuildError("internal", "what was written is not found");
    visible.push(performance.now() - began);
  }
  await memory.close();
  return visible;
}

const figures = [];
for (const [sessions, count, atOnce] of [
  [1, 3_000, 100],
  [32, 100, 1],
] as const) {
  const began = performance.now();
  const cpu = process.cpuUsage();
  const visible = (await Promise.all(Array.from({ length: sessions }, () => session(count, atOnce)))).flat();
  const seconds = (performance.now() - began) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const name = `${sessions} session${sessions === 1 ? "" : "s"}, ${atOnce} at once`;
  figures.push(
    { name: `${name}: written durably and indexed`, value: (sessions * count) / seconds, unit: "/s", goal: "≥ 1,000/s" },
    { name: `${name}: found by words, p99`, value: percentile(visible, 99), unit: "ms", ...(sessions === 1 ? { goal: "≤ 200 ms" } : {}) },
    { name: `${name}: processor`, value: (user + system) / 1_000 / (sessions * count), unit: "ms a write" },
  );
}
console.log(table("Local writes: messages in the log and in the memory of sessions", figures));
await storage.close();
await storage.stopDatabase();
rmSync(directory, { recursive: true });
