import { type Api, type ServedProcess, sessionRequest, startSystem } from "./system.ts";
import { type Figure, table } from "./table.ts";

const STEPS = 20;
const SLOTS = 2;
const WAIT_MS = 250;

/**
 * How the pool scales while no processor is the limit: every call of the model takes its time, as those of real ones do, and every worker has few
 * slots. Twice as many sessions as slots, so that none stands empty but at the end. Prints a table; asserts nothing.
 */
const system = await startSystem(STEPS);
try {
  const models = await system.serve("models", ["models"]);
  const env = { GUILD_SERVICES_MODELS: models.address, GUILD_WORKERS_SLOTS: String(SLOTS) };
  const orchestrator = await system.serve("orchestrator", ["orchestrator", "gateway"], { env });
  const api = system.reach(orchestrator);
  const workers: ServedProcess[] = [];
  const figures: Figure[] = [];
  let alone = 0;
  for (const count of [1, 2, 4]) {
    while (workers.length < count)
      workers.push(await system.serve(`worker-${workers.length}`, ["worker"], { join: orchestrator.address, env }));
    while ((await api.pool.listWorkers({})).workers.length !== count) await new Promise((resolve) => setTimeout(resolve, 50));
    // V8 compiles what runs often, and each worker loads what its first session needs.
    await sessions(api, SLOTS * count, "warm");
    const rate = await sessions(api, 2 * SLOTS * count, `wait-${WAIT_MS}`);
    if (count === 1) alone = rate;
    const name = `${count} worker${count === 1 ? "" : "s"}`;
    figures.push({ name: `${name}: steps a second`, value: rate, unit: "/s" });
    const most = (1_000 / WAIT_MS) * SLOTS * count;
    figures.push({ name: `${name}: of what the model's time allows`, value: (100 * rate) / most, unit: "%" });
    if (count > 1) figures.push({ name: `${name}: times one`, value: rate / alone, unit: "", goal: `near ${count}` });
  }
  console.log(table(`Workers of ${SLOTS} slots, ${STEPS} steps a session, the model takes ${WAIT_MS} ms a call`, figures));
  api.close();
} finally {
  await system.close();
}

/** Steps a second from the first request to the last, of sessions whose key tells the model how long to take. */
async function sessions(api: Api, count: number, key: string): Promise<number> {
  const workspaces = Array.from({ length: count }, () => system.workspace());
  await system.exchanges();
  await Promise.all(
    workspaces.map(async (workspace, index) => {
      const { session } = await api.sessions.createSession(sessionRequest(system, workspace, `${key}-${index}`));
      for await (const response of api.sessions.watchSession({ sessionId: session?.id ?? "", follow: true, untilTurnEnd: true }))
        void response;
    }),
  );
  const exchanges = await system.exchanges();
  const began = Math.min(...exchanges.map(({ arrivedNs }) => arrivedNs));
  const last = Math.max(...exchanges.map(({ arrivedNs }) => arrivedNs));
  return (count * STEPS) / ((last - began) / 1e9);
}
