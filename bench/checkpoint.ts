import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import type { Checkpointer } from "@guildhall/core";
import { createCheckpointer, createSandboxProvider, FileCheckpointStore } from "@guildhall/sandbox";

import { percentile, table, type Figure } from "./table.ts";

/** What checkpoints cost in repositories of several sizes, through the host provider: changes are made beforehand and not counted. */
const sizes = (process.argv[2] ?? "100,10000,50000").split(",").map(Number);
const ROUNDS = 40;

for (const size of sizes) {
  const directory = await mkdtemp(join(tmpdir(), "guild-bench-"));
  const provider = createSandboxProvider("host", { stateDir: join(directory, "provider") });
  try {
    const workspace = join(directory, "workspace");
    const paths = Array.from({ length: size }, (_, file) => `package-${file % 20}/module-${Math.floor(file / 20) % 50}/file-${file}.ts`);
    for (const path of paths) {
      await mkdir(dirname(join(workspace, path)), { recursive: true });
      await writeFile(join(workspace, path), content(path, 0));
    }
    const store = await FileCheckpointStore.open(join(directory, "store"));
    const open = async (number: number): Promise<Checkpointer> => {
      const sandbox = await provider.create({ id: `sbx_bench${number}`, workspace });
      return createCheckpointer({ sandbox, store, stateDir: join(directory, "state") });
    };
    const change = async (count: number, round: number): Promise<void> => {
      for (let file = 0; file < count; file++) {
        const path = paths[(round * 7919 + file * 31) % size] ?? "";
        await writeFile(join(workspace, path), content(path, round + 1));
      }
    };

    const cpuBefore = process.cpuUsage();
    const checkpointer = await open(1);
    const first = await timed(() => checkpointer.capture());
    const cpu = process.cpuUsage(cpuBefore);
    const figures: Figure[] = [
      { name: "first capture", value: first, unit: "ms", goal: "" },
      { name: "… own CPU", value: (cpu.user + cpu.system) / 1000, unit: "ms", goal: "" },
    ];
    const measure = async (name: string, count: number, goal: string): Promise<void> => {
      const times: number[] = [];
      const before = process.cpuUsage();
      let spent = 0;
      for (let round = 0; round < ROUNDS; round++) {
        await change(count, round);
        const start = process.cpuUsage();
        times.push(await timed(() => checkpointer.capture()));
        const used = process.cpuUsage(start);
        spent += used.user + used.system;
      }
      process.cpuUsage(before);
      figures.push(
        { name: `${name}, median`, value: percentile(times, 50), unit: "ms", goal },
        { name: `${name}, p95`, value: percentile(times, 95), unit: "ms", goal: "" },
        { name: `${name}, own CPU`, value: spent / 1000 / ROUNDS, unit: "ms", goal: "" },
      );
    };
    await measure("no change", 0, "≤ 1 ms");
    await measure("one file", 1, "≤ 2 ms");
    await measure("100 files", Math.min(100, size), "");
    await checkpointer.close();

    const next = await open(2);
    figures.push({ name: "first capture of a later session", value: await timed(() => next.capture()), unit: "ms", goal: "" });
    const settled = await open(3);
    await next.close();
    figures.push({ name: "… when files have rested", value: await timed(() => settled.capture()), unit: "ms", goal: "" });
    await settled.close();
    const memory = process.memoryUsage().rss / 1024 / 1024;
    figures.push({ name: "resident memory of the benchmark", value: memory, unit: "MB", goal: "" });
    await store.close();
    console.log(table(`Checkpoints of ${size} files`, figures));
  } finally {
    await provider.close();
    await rm(directory, { recursive: true });
  }
}

function content(path: string, version: number): string {
  return `// ${path}, version ${version}\n${`export const value${version} = "${path}";\n`.repeat(60)}`;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
