/** What tools cost: a call of an interpreter, a page fetched, and actions of the browser, from a server in the sandbox itself. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createBuiltInTools, createToolSession, runTool, ToolSet } from "@guildhall/agent";
import { MemoryBlobStore } from "@guildhall/core/testing";
import { createSandboxProvider } from "@guildhall/sandbox";

import { percentile, table } from "./table.ts";

const TIMES = 40;
const folder = mkdtempSync(join(tmpdir(), "guild-bench-tools-"));
const workspace = mkdtempSync(join(folder, "workspace-"));
writeFileSync(
  join(workspace, "index.html"),
  `<title>Bench</title><button onclick="n.textContent++">More</button><p id="n">0</p>${"<p>words</p>".repeat(200)}`,
);
const provider = createSandboxProvider("bubblewrap", { stateDir: join(folder, "state") });
const sandbox = await provider.create({ id: `bench-${process.pid}`, workspace });
const session = createToolSession({ sandbox, blobs: new MemoryBlobStore() });
const tools = new ToolSet(createBuiltInTools({ workspace }));

async function call(tool: string, args: object): Promise<number> {
  const began = performance.now();
  const signal = new AbortController().signal;
  const result = await runTool(
    tools,
    { callId: "call_1", tool, arguments: JSON.stringify(args) },
    { session, signal, progress: () => undefined },
  );
  if (result.status !== "ok") throw new Error(`${tool}: ${result.output}`);
  return performance.now() - began;
}

async function times(tool: string, args: object): Promise<number[]> {
  const all: number[] = [];
  for (let time = 0; time < TIMES; time += 1) all.push(await call(tool, args));
  return all.slice(5);
}

const url = "http://localhost:8765/";
await call("process", { action: "start", command: "exec python3 -m http.server 8765 --bind 127.0.0.1", port: 8765 });
const fetched = await times("fetch", { url });
const asked = await times("http", { url });
const first = await call("browser", { command: "open", url });
const rows: Array<[string, number[]]> = [
  ["python: a call", await times("python", { code: "1 + 1" })],
  ["node: a call", await times("node", { code: "1 + 1" })],
  ["bash: a call", await times("bash", { command: "true" })],
  ["fetch, a page of 200 paragraphs", fetched],
  ["http, the same", asked],
  ["browser: open, with its outline", await times("browser", { command: "open", url })],
  ["browser: click, with the outline after it", await times("browser", { command: "click", ref: "button" })],
  ["browser: snapshot", await times("browser", { command: "snapshot" })],
  ["browser: screenshot", await times("browser", { command: "screenshot" })],
  ["browser: evaluate", await times("browser", { command: "evaluate", text: "1 + 1" })],
];
const usage = await sandbox.usage();
process.stdout.write(
  table("Tools that look outside", [
    ...rows.flatMap(([name, all]) => [
      { name: `${name}, p50`, value: percentile(all, 50), unit: "ms", ...(/^(python|node):/.test(name) ? { goal: "≤ 5 ms" } : {}) },
      { name: `${name}, p95`, value: percentile(all, 95), unit: "ms" },
    ]),
    { name: "browser: start and first page", value: first, unit: "ms" },
    { name: "memory of the sandbox with it", value: usage.memoryBytes / 2 ** 20, unit: "MiB" },
  ]),
);
await session.close();
await provider.close();
rmSync(folder, { recursive: true, force: true });
