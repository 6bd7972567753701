import { createClient } from "@connectrpc/connect";
import { Health } from "@guildhall/protocol/grpc";

import type { Exchange } from "./model-server.ts";
import { descendants, transfers, usage } from "./process-tree.ts";
import { type Api, type ServedProcess, sessionRequest, startSystem, type System } from "./system.ts";
import { type Figure, percentile, table } from "./table.ts";

const STEPS = 20;
const SESSIONS = 32;

/** Services as processes of their own, on one machine: what the wires between them cost. Prints tables; asserts nothing. */
const system = await startSystem(STEPS);
try {
  const alone = await oneProcess(system);
  // As workers do: what a task left running must be gone before anybody hears that it is over.
  await system.guild("config", "set", "sandbox.idle_seconds", "0");
  const cold = await oneProcess(system);
  const models = await system.serve("models", ["models"]);
  const env = { GUILD_SERVICES_MODELS: models.address };
  const orchestrator = await system.serve("orchestrator", ["orchestrator"], { env });
  const gateway = await system.serve("gateway", ["gateway"], { join: orchestrator.address });
  const api = system.reach(gateway);
  const workers: ServedProcess[] = [];
  const join = async (count: number, slots: number): Promise<void> => {
    for (const worker of workers.splice(0)) await worker.stop();
    for (let index = 0; index < count; index += 1) {
      const more = { ...env, GUILD_WORKERS_SLOTS: String(slots) };
      workers.push(await system.serve(`worker-${count}-${index}`, ["worker"], { join: orchestrator.address, env: more }));
    }
    while ((await api.pool.listWorkers({})).workers.length !== count) await pause(50);
  };
  await join(2, SESSIONS / 2);
  // V8 compiles what runs often: five processes take longer to get there than one.
  for (let round = 0; round < 3; round += 1) await sessions(api, SESSIONS);
  const figures = [figure("one process (the daemon)", alone)];
  const parts = { models: [models], orchestrator: [orchestrator], gateway: [gateway], workers };
  const apart = await sessions(api, SESSIONS, parts);
  figures.push(figure("one process, sandboxes ended with their sessions", cold, alone));
  figures.push(figure("models, orchestrator, gateway, 2 workers", apart, alone));
  console.log(table(`${SESSIONS} sessions × ${STEPS} shell steps, warm`, figures.flat()));
  console.log(
    table("Apart, of one process that ends sandboxes as workers do", [
      { name: "by steps a second", value: (100 * apart.rate) / cold.rate, unit: "%", goal: "≥ 80 %" },
      {
        name: "by the time of the whole job, submitted → all done",
        value: (100 * cold.seconds) / apart.seconds,
        unit: "%",
        goal: "≥ 80 %",
      },
      { name: "by the CPU that a step costs", value: (100 * cold.cpuMs) / apart.cpuMs, unit: "%", goal: "≥ 80 %" },
    ]),
  );
  console.log(table("CPU a step, by process", [...share("one process", cold), ...share("apart", apart)]));
  console.log(table("Messages a step: calls of the system that read or wrote, by process", messages("apart", apart)));
  await dispatch(api);
  await calls(system.reach(orchestrator), api);
  await fanOut(api);
  await takeover(api, workers);
  const scaling: Figure[] = [];
  for (const count of [1, 2, 4]) {
    await join(count, 8 / count);
    for (let round = 0; round < 2; round += 1) await sessions(api, 16);
    scaling.push(...figure(`${count} worker${count === 1 ? "" : "s"}`, await sessions(api, 8)));
  }
  console.log(table(`8 sessions × ${STEPS} steps, 8 slots over workers of one machine`, scaling));
  api.close();
} finally {
  await system.close();
}

interface Rate {
  /** Steps a second, first request to last. */
  rate: number;
  /** Of the whole job: from the first session submitted to the last one done, with the opening and ending of sandboxes. */
  seconds: number;
  /** Of a step. */
  cpuMs: number;
  /** The same by process; `others`: what the processes named have started. */
  by: Record<string, number>;
  /** Of a step, by process: how often it has read and written. */
  transfers: Record<string, number>;
  gaps: number[];
}

function messages(name: string, { transfers: by }: Rate): Figure[] {
  return Object.entries(by).map(([part, value]) => ({ name: `${name}: ${part}`, value, unit: "" }));
}

function share(name: string, { by }: Rate): Figure[] {
  return Object.entries(by).map(([part, value]) => ({ name: `${name}: ${part}`, value, unit: "ms" }));
}

function figure(name: string, { rate, seconds, cpuMs, gaps }: Rate, than?: Rate): Figure[] {
  const share =
    than === undefined
      ? []
      : [
          { name: `${name}: of one process`, value: (100 * rate) / than.rate, unit: "%", goal: "≥ 80 %" },
          { name: `${name}: of one process, by the CPU that a step costs`, value: (100 * than.cpuMs) / cpuMs, unit: "%" },
        ];
  return [
    { name: `${name}: steps a second`, value: rate, unit: "/s" },
    { name: `${name}: the whole job`, value: seconds, unit: "s" },
    ...share,
    { name: `${name}: overhead a step, median`, value: percentile(gaps, 50), unit: "ms" },
    { name: `${name}: CPU a step, all processes`, value: cpuMs, unit: "ms" },
  ];
}

async function oneProcess(on: System): Promise<Rate> {
  await on.guild("up");
  const api = await on.connect();
  for (let round = 0; round < 3; round += 1) await sessions(api, SESSIONS);
  const result = await sessions(api, SESSIONS);
  api.close();
  await on.guild("down");
  return result;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function sessions(api: Api, count: number, parts: Record<string, ServedProcess[]> = {}): Promise<Rate> {
  const workspaces = Array.from({ length: count }, () => system.workspace());
  await system.exchanges();
  const before = everything();
  const partsBefore = usageOf(parts);
  const sentBefore = transfersOf(parts);
  const started = performance.now();
  await Promise.all(
    workspaces.map(async (workspace, index) => {
      const { session } = await api.sessions.createSession(sessionRequest(system, workspace, `bench-${index}`));
      const stream = api.sessions.watchSession({ sessionId: session?.id ?? "", follow: true, untilTurnEnd: true });
      for await (const response of stream) void response;
    }),
  );
  const whole = (performance.now() - started) / 1_000;
  const after = everything();
  const partsAfter = usageOf(parts);
  const sentAfter = transfersOf(parts);
  const exchanges = await system.exchanges();
  if (exchanges.length !== count * (STEPS + 1)) console.log(`expected ${count * (STEPS + 1)} requests, saw ${exchanges.length}\n`);
  const arrivals = exchanges.map((exchange) => exchange.arrivedNs);
  const seconds = (Math.max(...arrivals) - Math.min(...arrivals)) / 1e9;
  const steps = count * STEPS;
  const each = (now: Record<string, number>, then: Record<string, number>): Record<string, number> =>
    Object.fromEntries(Object.entries(now).map(([name, value]) => [name, (value - (then[name] ?? 0)) / steps]));
  return {
    rate: steps / seconds,
    seconds: whole,
    cpuMs: (after - before) / steps,
    by: each(partsAfter, partsBefore),
    transfers: each(sentAfter, sentBefore),
    gaps: gapsOf(exchanges),
  };
}

/** CPU of all processes of this Guildhall, milliseconds. */
function everything(): number {
  const { daemon, database } = system.processes();
  return usage(descendants([...daemon, ...database]), { memory: false }).cpuMs;
}

/** CPU so far by part, milliseconds: the processes themselves, what they have started, the database. */
function usageOf(parts: Record<string, ServedProcess[]>): Record<string, number> {
  const { daemon, database } = system.processes();
  const own = Object.entries(parts).map(([name, processes]) => [name, processes.map(({ pid }) => pid)] as const);
  const served = new Set(own.flatMap(([, pids]) => pids));
  const cpu = (pids: readonly number[]): number => usage(pids, { memory: false }).cpuMs;
  const others = daemon.filter((pid) => !served.has(pid));
  return { ...Object.fromEntries(own.map(([name, pids]) => [name, cpu(pids)])), others: cpu(others), database: cpu(database) };
}

/** How often each part has read and written so far. */
function transfersOf(parts: Record<string, ServedProcess[]>): Record<string, number> {
  return Object.fromEntries(Object.entries(parts).map(([name, processes]) => [name, transfers(processes.map(({ pid }) => pid))]));
}

function gapsOf(exchanges: readonly Exchange[]): number[] {
  return [...Map.groupBy(exchanges, (exchange) => exchange.session).values()].flatMap((own) => {
    const ordered = own.toSorted((x, y) => x.arrivedNs - y.arrivedNs);
    return ordered.slice(1).map((next, index) => (next.arrivedNs - (ordered[index]?.repliedNs ?? 0)) / 1e6);
  });
}

/** One task after another into an idle pool: from the request to the first call of a model. */
async function dispatch(api: Api): Promise<void> {
  const times: number[] = [];
  for (let index = 0; index < 40; index += 1) {
    const workspace = system.workspace();
    await system.exchanges();
    const started = Number(process.hrtime.bigint());
    const { session } = await api.sessions.createSession(sessionRequest(system, workspace, `dispatch-${index}`));
    const stream = api.sessions.watchSession({ sessionId: session?.id ?? "", follow: true, untilTurnEnd: true });
    for await (const response of stream) void response;
    times.push((Math.min(...(await system.exchanges()).map(({ arrivedNs }) => arrivedNs)) - started) / 1e6);
  }
  const figures = [50, 99].map((p) => ({ name: `p${p}`, value: percentile(times, p), unit: "ms" }));
  console.log(table("Dispatch: submitted at the gateway → first request at the model, idle pool", figures));
}

/** What a call costs, to the orchestrator itself and through the gateway. */
async function calls(orchestrator: Api, through: Api): Promise<void> {
  const figures: Figure[] = [];
  for (const [name, api] of [
    ["orchestrator", orchestrator],
    ["through the gateway", through],
  ] as const) {
    const health = createClient(Health, api.transport);
    const one = (): Promise<unknown> => (api === orchestrator ? health.check({}) : api.system.getInfo({ protocol: 1 }));
    for (let index = 0; index < 200; index += 1) await one();
    const times: number[] = [];
    for (let index = 0; index < 500; index += 1) {
      const started = performance.now();
      await one();
      times.push(performance.now() - started);
    }
    const started = performance.now();
    await Promise.all(
      Array.from({ length: 32 }, async () => {
        for (let index = 0; index < 50; index += 1) await one();
      }),
    );
    figures.push(
      { name: `unary call, ${name}, median`, value: percentile(times, 50), unit: "ms" },
      { name: `unary calls, ${name}, 32 at once`, value: 1_600 / ((performance.now() - started) / 1_000), unit: "/s" },
    );
  }
  const { session } = await through.sessions.createSession({ ...sessionRequest(system, system.workspace(), "stream"), goal: "" });
  const sessionId = session?.id ?? "";
  for (let index = 0; index < 500; index += 1) await orchestrator.sessions.sendInput({ sessionId, input: note(index) });
  for (const [name, api] of [
    ["orchestrator", orchestrator],
    ["through the gateway", through],
  ] as const) {
    const started = performance.now();
    let seen = 0;
    for (let round = 0; round < 10; round += 1)
      for await (const { events } of api.sessions.watchSession({ sessionId })) seen += events.length;
    figures.push({ name: `event of a stream, ${name}`, value: ((performance.now() - started) * 1_000) / seen, unit: "µs" });
  }
  console.log(table("Calls on loopback", figures));
}

/** An input that begins no turn. */
function note(index: number) {
  return { case: "model", value: { model: `openai-compatible/fake-${index}`, baseUrl: system.modelUrl } } as const;
}

/** One session, 100 watchers, each a stream of its own: from the append to the last of them. */
async function fanOut(api: Api): Promise<void> {
  const watchers = 100;
  const events = 50;
  const { session } = await api.sessions.createSession({ ...sessionRequest(system, system.workspace(), "fan-out"), goal: "" });
  const sessionId = session?.id ?? "";
  const seen = Array.from({ length: watchers }, (): number[] => []);
  const ending = new AbortController();
  const listening = seen.map(async (times) => {
    try {
      for await (const response of api.sessions.watchSession({ sessionId, follow: true }, { signal: ending.signal }))
        for (const event of response.events) times[event.seq] = performance.now();
    } catch (error) {
      if (!ending.signal.aborted) throw error;
    }
  });
  while (seen.some((times) => times.length === 0)) await pause(10);
  const delays: number[] = [];
  for (let index = 0; index < events; index += 1) {
    const started = performance.now();
    const { seq } = await api.sessions.sendInput({ sessionId, input: note(index) });
    while (seen.some((times) => times[seq] === undefined)) await pause(1);
    delays.push(Math.max(...seen.map((times) => times[seq] ?? 0)) - started);
  }
  ending.abort();
  await Promise.all(listening);
  const figures = [50, 95].map((p) => ({ name: `sent → seen by the last, p${p}`, value: percentile(delays, p), unit: "ms" }));
  console.log(table(`${watchers} watchers of one session through the gateway`, figures));
}

/** kill -9 of the worker that has the session, in the middle: until the other's first request to the model. */
async function takeover(api: Api, workers: readonly ServedProcess[]): Promise<void> {
  const times: number[] = [];
  const workspace = system.workspace();
  await system.exchanges();
  const { session } = await api.sessions.createSession(sessionRequest(system, workspace, "takeover"));
  const sessionId = session?.id ?? "";
  while ((await api.sessions.getSession({ sessionId })).session?.steps === 0) await pause(5);
  const owner = (await api.pool.listWorkers({})).workers.find(({ taskIds }) => taskIds.length > 0);
  const victim = workers.find((worker) => owner !== undefined && worker.said().includes(owner.id));
  if (victim === undefined) return console.log("the session was over before its worker could be killed\n");
  process.kill(victim.pid, "SIGKILL");
  const killed = Number(process.hrtime.bigint());
  for await (const response of api.sessions.watchSession({ sessionId, follow: true, untilTurnEnd: true })) void response;
  const later = (await system.exchanges()).map(({ arrivedNs }) => arrivedNs).filter((arrived) => arrived > killed);
  times.push((Math.min(...later) - killed) / 1e9);
  console.log(
    table("Takeover", [
      { name: "kill -9 of a worker → the other's first request", value: times[0] ?? Number.NaN, unit: "s", goal: "≤ 10 s" },
    ]),
  );
}
