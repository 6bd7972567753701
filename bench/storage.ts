import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type EventLog, foldAll, type Lease } from "@guildhall/core";
import { notice, plainSession, started } from "@guildhall/core/testing";
import { openStorage } from "@guildhall/server/storage";

import { descendants, usage } from "./process-tree.ts";
import { type Figure, percentile, table } from "./table.ts";

/** Time and processor time of the event log on a fresh database. Prints tables; asserts nothing. */
const APPENDS = 3000;
/** What a step writes: a reply with its intent, then an observation of some lines. */
const STEP = [notice("a reply of the model, with a tool call. ".repeat(10)), notice("an action that begins")];

const root = mkdtempSync(join(tmpdir(), "guildhall-bench-"));
const options = { dataDir: join(root, "data"), runtimeDir: join(root, "run") };
const figures: Figure[] = [];
let begin = performance.now();
let storage = await openStorage(options);
figures.push({ name: "open, new database", value: performance.now() - begin, unit: "ms" });
try {
  await storage.close();
  figures.push({ name: "open, running database", value: await opening(), unit: "ms", goal: "≤ 30 ms" });
  await storage.close();
  await storage.stopDatabase();
  figures.push({ name: "open, stopped database", value: await opening(), unit: "ms", goal: "≤ 250 ms" });
  console.log(table("Opening the storage", figures.splice(0)));

  await appends(storage.log, 1, 300);
  for (const sessions of [1, 8, 32]) await measure(sessions, false);
  await measure(32, true);
  console.log(table("Appends", figures.splice(0)));

  await lengths();
  console.log(table("Length of the log", figures.splice(0)));
} finally {
  await storage.close();
  await storage.stopDatabase();
  rmSync(root, { recursive: true, force: true });
}

async function opening(): Promise<number> {
  begin = performance.now();
  storage = await openStorage(options);
  return performance.now() - begin;
}

async function measure(sessions: number, watched: boolean): Promise<void> {
  const database = descendants([(await storage.describe()).pid ?? 0]);
  const before = { node: process.cpuUsage(), database: usage(database, { memory: false }).cpuMs, at: performance.now() };
  const times = await appends(storage.log, sessions, APPENDS / sessions, watched);
  const elapsed = performance.now() - before.at;
  const node = process.cpuUsage(before.node);
  const ours = (node.user + node.system) / 1000;
  const theirs = usage(database, { memory: false }).cpuMs - before.database;
  const name = `${sessions} side by side${watched ? ", watched" : ""}`;
  figures.push(
    { name: `${name}: p50`, value: percentile(times, 50), unit: "ms", ...(sessions === 1 ? { goal: "≈ 1 ms" } : {}) },
    { name: `${name}: p95`, value: percentile(times, 95), unit: "ms" },
    { name: `${name}: rate`, value: (times.length / elapsed) * 1000, unit: "/s", ...(sessions === 32 ? { goal: "≥ 1,000 /s" } : {}) },
    { name: `${name}: processor`, value: (ours + theirs) / times.length, unit: "ms an append", goal: "≤ 1 ms" },
    { name: `${name}: of which PostgreSQL`, value: theirs / times.length, unit: "ms an append" },
  );
}

async function appends(log: EventLog, sessions: number, each: number, watched = false): Promise<number[]> {
  const times: number[] = [];
  const one = async () => {
    const lease = await newSession(log);
    const stop = new AbortController();
    const watching = watched ? drain(log, lease, stop.signal) : undefined;
    for (let seq = 1, done = 0; done < each; done += 1, seq += STEP.length) {
      const start = performance.now();
      await append(log, lease, seq);
      times.push(performance.now() - start);
    }
    stop.abort();
    await watching;
  };
  await Promise.all(Array.from({ length: sessions }, one));
  return times;
}

async function lengths(): Promise<void> {
  const { log } = storage;
  const [short, long] = [await newSession(log), await newSession(log)];
  for (let seq = 1; seq < 2001; seq += STEP.length) await append(log, long, seq);
  const atStart: number[] = [];
  const atEnd: number[] = [];
  for (let round = 0; round < 200; round += 1) {
    const first = performance.now();
    await append(log, short, 1 + round * STEP.length);
    const second = performance.now();
    await append(log, long, 2001 + round * STEP.length);
    atStart.push(second - first);
    atEnd.push(performance.now() - second);
  }
  begin = performance.now();
  await log.read(long, 1, 2000);
  const reading = performance.now() - begin;
  const events = plainSession(666, { outputBytes: 2_000 }).slice(0, 2_000);
  const folds = Array.from({ length: 20 }, () => {
    const from = performance.now();
    foldAll(events);
    return performance.now() - from;
  });
  figures.push(
    { name: "append at event 1, p50", value: percentile(atStart, 50), unit: "ms" },
    { name: "append at event 2,000, p50", value: percentile(atEnd, 50), unit: "ms" },
    { name: "read 2,000 events", value: reading, unit: "ms" },
    { name: "fold 2,000 events, the first time", value: folds[0] ?? 0, unit: "ms", goal: "≤ 50 ms" },
    { name: "fold 2,000 events, p50", value: percentile(folds, 50), unit: "ms", goal: "≤ 50 ms" },
  );
}

async function newSession(log: EventLog): Promise<Lease> {
  const key = { tenant: "local", session: `ses_${randomUUID()}` };
  await log.createSession({ ...key, title: "bench", workspace: "/w", actor: "system", events: [started()] });
  return log.acquireLease(key, "bench", 600_000);
}

async function append(log: EventLog, lease: Lease, expectedSeq: number): Promise<void> {
  const { tenant, session, epoch } = lease;
  await log.append({ tenant, session, expectedSeq, epoch, actor: "worker:1", events: STEP });
}

async function drain(log: EventLog, lease: Lease, signal: AbortSignal): Promise<void> {
  for await (const events of log.watch(lease, 1, signal)) if (events.length === 0) return;
}
