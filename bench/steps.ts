import type { Exchange } from "./model-server.ts";
import { descendants, usage } from "./process-tree.ts";
import { sessionRequest, startSystem, type System } from "./system.ts";
import { type Figure, percentile, table } from "./table.ts";

const STEPS = 20;
const MB = 1024 * 1024;

/** The main job against a model that answers at once: what is left is our own cost. Prints tables; asserts nothing. */
const system = await startSystem(STEPS);
try {
  await run(system, system.workspace());
  await startUp(system);
  // The first session of a daemon runs code that V8 has not compiled yet: it is a figure of its own.
  await parallel(system, 1, "first session of a fresh daemon");
  for (const sessions of [1, 8, 32]) await parallel(system, sessions, "warm daemon");
  await opening(system);
} finally {
  await system.close();
}

async function run(on: System, workspace: string): Promise<{ startedNs: number; exchanges: Exchange[] }> {
  await on.exchanges();
  const { startedNs, code, output } = await on.guild(
    "run",
    "run the steps",
    "--workspace",
    workspace,
    "--model",
    "openai-compatible/fake",
    "--base-url",
    on.modelUrl,
    "--yes",
  );
  if (code !== 0) throw new Error(`guild run ended with ${code}:\n${output}`);
  return { startedNs, exchanges: await on.exchanges() };
}

async function startUp(on: System): Promise<void> {
  const absent: number[] = [];
  const present: number[] = [];
  const ready: number[] = [];

  for (let round = 0; round < 7; round += 1) {
    await on.guild("down");
    const cold = await run(on, on.workspace());
    absent.push(firstRequest(cold));
    present.push(firstRequest(await run(on, on.workspace())));
  }
  for (let round = 0; round < 5; round += 1) {
    await on.guild("down");
    const started = performance.now();
    await on.guild("up");
    ready.push(performance.now() - started);
  }
  const idle = on.processes();
  const { exchanges } = await run(on, on.workspace());
  const sizes = exchanges.map((exchange) => exchange.bytes);
  const growth = ((sizes.at(-1) ?? 0) - (sizes[0] ?? 0)) / (sizes.length - 1);
  console.log(
    table("Start", [
      { name: "process start → first request, daemon absent", value: percentile(absent, 50), unit: "ms", goal: "≤ 900 ms" },
      { name: "process start → first request, daemon present", value: percentile(present, 50), unit: "ms", goal: "≤ 250 ms" },
      { name: "`guild up` returns (daemon ready), process start included", value: percentile(ready, 50), unit: "ms", goal: "≤ 600 ms" },
      { name: "idle daemon, PSS", value: usage(idle.daemon, { memory: true }).memoryBytes / MB, unit: "MB", goal: "≤ 120 MB" },
      { name: "its database, PSS", value: usage(idle.database, { memory: true }).memoryBytes / MB, unit: "MB" },
      { name: "first prompt, request body", value: sizes[0] ?? 0, unit: "B", goal: "≤ 12 kB" },
      { name: "growth a step, call and output included", value: growth, unit: "B", goal: "≤ 300 B of our own" },
    ]),
  );
}

function firstRequest({ startedNs, exchanges }: { startedNs: number; exchanges: Exchange[] }): number {
  return (Math.min(...exchanges.map((exchange) => exchange.arrivedNs)) - startedNs) / 1e6;
}

async function parallel(on: System, count: number, state: string): Promise<void> {
  const api = await on.connect();
  const workspaces = Array.from({ length: count }, () => on.workspace());
  await on.exchanges();
  const before = on.processes();
  const all = [...before.daemon, ...before.database];
  const used = usage(all, { memory: true });
  let peak = 0;
  const sampling = setInterval(() => {
    const now = on.processes();
    peak = Math.max(peak, usage([...now.daemon, ...now.database], { memory: true }).memoryBytes);
  }, 500);
  const opened: number[] = [];
  await Promise.all(
    workspaces.map(async (workspace, index) => {
      const started = performance.now();
      const { session } = await api.sessions.createSession(sessionRequest(on, workspace, `bench-${index}`));
      opened.push(performance.now() - started);
      const stream = api.sessions.watchSession({ sessionId: session?.id ?? "", follow: true, untilTurnEnd: true });
      for await (const response of stream) void response;
    }),
  );
  clearInterval(sampling);
  const after = on.processes();
  const end = usage(descendants([...after.daemon, ...after.database]), { memory: true });
  const exchanges = await on.exchanges();
  const gaps = gapsOf(exchanges);
  const first = Math.min(...exchanges.map((exchange) => exchange.arrivedNs));
  const last = Math.max(...exchanges.map((exchange) => exchange.arrivedNs));
  const steps = count * STEPS;
  const figures: Figure[] = [
    { name: "overhead a step, median", value: percentile(gaps, 50), unit: "ms", goal: count === 1 ? "≤ 10 ms" : "" },
    {
      name: "overhead a step, p95",
      value: percentile(gaps, 95),
      unit: "ms",
      goal: count === 1 ? "≤ 20 ms" : count === 32 ? "≤ 300 ms" : "",
    },
    { name: "steps a second", value: steps / ((last - first) / 1e9), unit: "/s", goal: count === 32 ? "≥ 200 /s" : "" },
    {
      name: "CPU a step (daemon, sandboxes, database)",
      value: (end.cpuMs - used.cpuMs) / steps,
      unit: "ms",
      goal: count === 32 ? "≤ 8 ms" : "",
    },
    { name: "peak memory of the tree, PSS", value: Math.max(peak, end.memoryBytes) / MB, unit: "MB" },
    {
      name: "an active session, PSS over idle",
      value: (Math.max(peak, end.memoryBytes) - used.memoryBytes) / MB / count,
      unit: "MB",
      goal: "≤ 4 MB",
    },
    { name: "session open with its work begun, median", value: percentile(opened, 50), unit: "ms" },
  ];
  console.log(table(`${count} parallel session${count === 1 ? "" : "s"} × ${STEPS} shell steps, ${state}`, figures));
  if (exchanges.length !== count * (STEPS + 1)) console.log(`expected ${count * (STEPS + 1)} requests, saw ${exchanges.length}\n`);
  api.close();
}

/** Sessions without a goal, one after another: what opening alone costs, and what an open one holds. */
async function opening(on: System): Promise<void> {
  const api = await on.connect();
  const times: number[] = [];
  const count = 60;
  const request = { model: "openai-compatible/fake", baseUrl: on.modelUrl, approvalPolicy: "never", unattended: true };
  const workspaces = Array.from({ length: count }, () => on.workspace());
  const before = usage(on.processes().daemon, { memory: true }).memoryBytes;
  for (const workspace of workspaces) {
    const started = performance.now();
    await api.sessions.createSession({ ...request, workspace, credentials: { OPENAI_COMPATIBLE_API_KEY: "open" } });
    times.push(performance.now() - started);
  }
  const after = usage(on.processes().daemon, { memory: true }).memoryBytes;
  api.close();
  console.log(
    table("Opening sessions", [
      { name: "session open, median", value: percentile(times, 50), unit: "ms", goal: "≤ 5 ms" },
      { name: "session open, p95", value: percentile(times, 95), unit: "ms" },
      { name: "an open idle session, PSS", value: (after - before) / MB / count, unit: "MB", goal: "≤ 0.3 MB" },
    ]),
  );
}

/** Milliseconds from the end of each reply to the arrival of the session's next request. */
function gapsOf(exchanges: readonly Exchange[]): number[] {
  const gaps: number[] = [];
  for (const own of Map.groupBy(exchanges, (exchange) => exchange.session).values()) {
    const ordered = own.toSorted((x, y) => x.arrivedNs - y.arrivedNs);
    for (let index = 1; index < ordered.length; index += 1) {
      const [previous, next] = [ordered[index - 1], ordered[index]];
      if (previous !== undefined && next !== undefined) gaps.push((next.arrivedNs - previous.repliedNs) / 1e6);
    }
  }
  return gaps;
}
