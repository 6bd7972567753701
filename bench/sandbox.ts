import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import type { Sandbox } from "@guildhall/core";
import { createSandboxProvider, sandboxProviderNames } from "@guildhall/sandbox";
import { startDockerEngine } from "@guildhall/sandbox/testing";

import { descendants } from "./process-tree.ts";
import { percentile, table, type Figure } from "./table.ts";

/**
 * What a sandbox costs: starting it, running a command in it, moving bytes through it, and its memory. `node bench/sandbox.ts [PROVIDER…]`; docker needs root,
 * and gets an engine of its own.
 */
const isRoot = process.getuid?.() === 0;
const names =
  process.argv.length > 2
    ? process.argv.slice(2)
    : sandboxProviderNames.filter((name) => name !== "kubernetes" && (name !== "docker" || isRoot));
const COMMANDS = 300;
const MEGABYTES = 64;

const run = promisify(execFile);

console.log(table("bare", await bare()));

for (const name of names) {
  const directory = await mkdtemp(join(tmpdir(), "guild-bench-"));
  const engine = name === "docker" ? await startDockerEngine() : undefined;
  const docker = engine === undefined ? {} : { docker: { host: engine.host } };
  const provider = createSandboxProvider(name, { stateDir: join(directory, "state"), ...docker });
  try {
    const workspace = join(directory, "workspace");
    await mkdir(workspace);
    // A container takes half a second.
    const [starts, idle] = name === "docker" ? [10, 20] : [40, 100];
    let count = 0;
    const open = (): Promise<Sandbox> => provider.create({ id: `bench-${process.pid}-${++count}`, workspace, leaseMs: 30_000 });
    const opened: Sandbox[] = [];
    const first = performance.now();
    await (await open()).dispose();
    const figures: Figure[] = [{ name: "first start and end", value: performance.now() - first, unit: "ms" }];
    figures.push(...(await times("start", starts, async () => void opened.push(await open()), "30 ms p50")));
    figures.push(...(await times("dispose", starts, async () => opened.pop()?.dispose())));

    const sandbox = await open();
    const command = async (): Promise<void> => {
      const execution = await sandbox.exec({ argv: ["/bin/true"] });
      for await (const _ of execution.output);
      await execution.exit;
    };
    figures.push(...(await times("run true", COMMANDS, command, "bare + 2 ms")));
    await sandbox.files.write("small", Buffer.alloc(4000));
    figures.push(...(await times("read 4 kB", COMMANDS, () => sandbox.files.read("small"))));
    figures.push(...(await times("write 4 kB", COMMANDS, () => sandbox.files.write("small", Buffer.alloc(4000)))));
    const large = Buffer.alloc(MEGABYTES << 20);
    figures.push(await rate("write", () => sandbox.files.write("large", large)));
    figures.push(await rate("read", () => sandbox.files.read("large")));
    figures.push(
      await rate("output of a command", async () => {
        const execution = await sandbox.exec({ argv: ["/bin/sh", "-c", `head -c ${MEGABYTES << 20} /dev/zero`] });
        for await (const _ of execution.output);
      }),
    );
    await sandbox.dispose();

    const before = await memory(name, opened);
    const begun = performance.now();
    for (let at = 0; at < idle; at += 4) opened.push(...(await Promise.all([open(), open(), open(), open()])));
    figures.push({ name: `${idle} at once, started four by four`, value: performance.now() - begun, unit: "ms" });
    figures.push({ name: "memory of an idle one", value: ((await memory(name, opened)) - before) / idle / 1024, unit: "kB" });
    await Promise.all(opened.map((one) => one.exec({ argv: ["/run/guildhall/bin/bash", "--norc"], input: true })));
    figures.push({ name: "… with a shell", value: ((await memory(name, opened)) - before) / idle / 1024, unit: "kB", goal: "4096 kB" });
    await Promise.all(opened.map((one) => one.dispose()));
    console.log(table(name, figures));
    if (name === "bubblewrap") console.log(table("bubblewrap, from the pool", await pooled(directory, workspace)));
  } finally {
    await provider.close();
    await engine?.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** What the same costs without a sandbox. */
async function bare(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "guild-bench-"));
  const [small, large] = [join(directory, "small"), join(directory, "large")];
  try {
    await writeFile(small, Buffer.alloc(4000));
    return [
      ...(await times("spawn true, Node", COMMANDS, () => run("/bin/true"))),
      ...(await times("read 4 kB", COMMANDS, () => readFile(small))),
      ...(await times("write 4 kB", COMMANDS, () => writeFile(small, Buffer.alloc(4000)))),
      await rate("write", () => writeFile(large, Buffer.alloc(MEGABYTES << 20))),
      await rate("read", () => readFile(large)),
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Starts from sandboxes that were prepared, the pool refilled between them. */
async function pooled(directory: string, workspace: string): Promise<Figure[]> {
  const provider = createSandboxProvider("bubblewrap", { stateDir: join(directory, "state"), warm: 16 });
  try {
    const before = await memory("bubblewrap", []);
    const begun = performance.now();
    await provider.prepare?.({});
    const figures: Figure[] = [{ name: "16 prepared", value: performance.now() - begun, unit: "ms" }];
    figures.push({ name: "memory of a prepared one", value: ((await memory("bubblewrap", [])) - before) / 16 / 1024, unit: "kB" });
    const taken: number[] = [];
    for (let round = 0; round < 80; round++) {
      if (round % 16 === 0) await provider.prepare?.({});
      const start = performance.now();
      const sandbox = await provider.create({ id: `pooled-${process.pid}-${round}`, workspace, leaseMs: 30_000 });
      taken.push(performance.now() - start);
      await sandbox.dispose();
    }
    figures.push({ name: "start, p50", value: percentile(taken, 50), unit: "ms", goal: "5 ms" });
    figures.push({ name: "start, p95", value: percentile(taken, 95), unit: "ms" });
    return figures;
  } finally {
    await provider.close();
  }
}

async function times(name: string, count: number, action: () => Promise<unknown>, goal?: string): Promise<Figure[]> {
  const taken: number[] = [];
  for (let round = 0; round < count; round++) {
    const start = performance.now();
    await action();
    taken.push(performance.now() - start);
  }
  return [
    { name: `${name}, p50`, value: percentile(taken, 50), unit: "ms", ...(goal === undefined ? {} : { goal }) },
    { name: `${name}, p95`, value: percentile(taken, 95), unit: "ms" },
  ];
}

async function rate(name: string, action: () => Promise<unknown>): Promise<Figure> {
  const start = performance.now();
  await action();
  return { name, value: (MEGABYTES * 1000) / (performance.now() - start), unit: "MB/s" };
}

/** Of containers, which are no children of ours, what their cgroups count. */
async function memory(provider: string, sandboxes: readonly Sandbox[]): Promise<number> {
  if (provider !== "docker") return await proportionalMemory();
  const used = await Promise.all(sandboxes.map((one) => one.usage()));
  return used.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
}

/** Bytes of memory of all processes below this one, shared pages divided. */
async function proportionalMemory(): Promise<number> {
  let sum = 0;
  for (const pid of descendants([process.pid])) {
    if (pid === process.pid) continue;
    const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => ""); // ended meanwhile
    sum += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0) * 1024;
  }
  return sum;
}
