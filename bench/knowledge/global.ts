/** What the workshop knows: durable writes with their facts compared to all others, when they are found, opening again, and the memory that it takes. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { create } from "@bufbuild/protobuf";
import { GuildError, type Ids, sortableIds, systemClock } from "@guildhall/core";
import { seededRandom } from "@guildhall/core/testing";
import { GlobalSearch, Replica } from "@guildhall/knowledge";
import { ConflictStrategy, type Knowledge, KnowledgeSchema, ScopeKind, ScopeSchema } from "@guildhall/protocol";
import { openStorage } from "@guildhall/server/storage";

import { percentile, table } from "../table.ts";

const COUNT = Number(process.env["FACTS"] ?? 10_000);
const BATCH = 100;
const clock = systemClock();
const ids: Ids = sortableIds(clock);
const random = seededRandom(3);
/** Words fall as in language (Zipf); letters alone, for a number would be an exact value. */
const word = (): string => {
  const rank = Math.floor(20_000 ** random.next());
  return String(rank)
    .split("")
    .map((digit) => "bcdfghklmn".charAt(Number(digit)) + "aeiou".charAt(rank % 5))
    .join("");
};
const scope = create(ScopeSchema, { kind: ScopeKind.PROJECT, id: "p" });
const fact = (at: number): Knowledge =>
  create(KnowledgeSchema, {
    text: `The ${word()} ${word()} of ${word()} needs ${word()} and ${word()} item${at}.`,
    scope,
    confidence: 0.5,
  });

const directory = mkdtempSync(join(tmpdir(), "guild-bench-"));
const storage = await openStorage({ dataDir: join(directory, "data"), runtimeDir: join(directory, "run") });
const { knowledge: store } = storage;
const place: { search?: GlobalSearch } = {};
const open = async () => {
  const replica = await Replica.open({
    tenant: "t",
    store,
    clock,
    ids,
    strategy: () => ConflictStrategy.ASK,
    changed: (some) => place.search?.changed(some),
  });
  const search = await GlobalSearch.open({ ledger: replica.ledger, clock });
  place.search = search;
  return { replica, search };
};
const { replica, search } = await open();
const visible: number[] = [];
const cpu: number[] = [];
const start = performance.now();
for (let from = 0; from < COUNT; from += BATCH) {
  const began = performance.now();
  const before = process.cpuUsage();
  await replica.add(
    Array.from({ length: BATCH }, (_, at) => fact(from + at)),
    { actor: "person:p" },
  );
  const { found } = await search.find({ query: `item${from + BATCH - 1}`, limit: 1 });
  if (found.length !== 1) throw new GuildError("internal", "what was written is not found");
  visible.push(performance.now() - began);
  const { user, system } = process.cpuUsage(before);
  cpu.push((user + system) / 1_000);
}
const written = (performance.now() - start) / 1_000;
const before = process.memoryUsage().rss;
const opening = performance.now();
await open();
const opened = performance.now() - opening;
console.log(
  table(`Global layer: ${COUNT} facts in batches of ${BATCH}, rows in PostgreSQL`, [
    { name: "written durably, compared and indexed", value: COUNT / written, unit: "/s", goal: "≥ 500/s" },
    { name: "a batch written and found by words, p99", value: percentile(visible, 99), unit: "ms", goal: "≤ 200 ms" },
    { name: "its processor time in this process, p50", value: percentile(cpu, 50), unit: "ms" },
    { name: "opened again from the rows", value: opened, unit: "ms" },
    { name: "memory of the second opening", value: (process.memoryUsage().rss - before) / COUNT / 1_000, unit: "kB an item" },
  ]),
);
await storage.close();
await storage.stopDatabase();
rmSync(directory, { recursive: true });
