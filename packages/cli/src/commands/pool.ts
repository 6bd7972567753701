import type { Budget, BudgetAmounts, Share, Worker } from "@guildhall/protocol";

import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { createStyle } from "../output/style.ts";
import { withConnection } from "./session.ts";

interface JsonOption {
  json?: boolean;
}

/** `guild pool list`. */
export function listWorkers(context: Context, options: JsonOption): Promise<number> {
  return withConnection(context, async ({ pool }) => {
    const { workers, queued, running, shares } = await pool.listWorkers({});
    if (options.json === true) {
      context.stdout.write(`${JSON.stringify({ id: "pool", type: "pool", queued, running })}\n`);
      for (const worker of workers) context.stdout.write(`${JSON.stringify(workerLine(worker))}\n`);
      for (const { organisation, weight, limit, queued: waiting, running: busy } of shares)
        context.stdout.write(`${JSON.stringify({ id: organisation, type: "share", weight, limit, queued: waiting, running: busy })}\n`);
      return exitCode.done;
    }
    const style = createStyle(context.color);
    for (const worker of workers) {
      const { cpu = 0, memoryBytes = 0n, slots = 0 } = worker.capacity ?? {};
      const labels = Object.entries(worker.labels).map(([name, value]) => `${name}=${value}`);
      const facts = [
        `${worker.usedSlots}/${slots} slots`,
        `${cpu} CPUs`,
        `${Math.round(Number(memoryBytes) / 2 ** 20)} MiB`,
        `load ${Math.round(worker.load * 100)} %`,
        ...(worker.draining ? ["draining"] : []),
        ...(worker.distrust > ON_TRIAL ? ["on trial: its last tasks were lost or failed"] : []),
        ...(worker.local ? ["in the daemon"] : []),
        ...(worker.orchestratorId === "" ? [] : [`joined ${worker.orchestratorId}`]),
        ...labels,
      ];
      context.stdout.write(`${style.bold(worker.id)}  ${facts.join(" · ")}\n`);
      const tasks = worker.taskIds.map((id) => (worker.moving[id] === undefined ? id : `${id} (moves to ${worker.moving[id]})`));
      if (tasks.length > 0) context.stdout.write(`  ${style.dim(tasks.join(" "))}\n`);
    }
    const weights = shares.reduce((sum, { weight }) => sum + weight, 0);
    for (const share of shares)
      context.stdout.write(`${style.bold(share.organisation || "(no organisation)")}  ${shareFacts(share, weights).join(" · ")}\n`);
    context.stdout.write(style.dim(`${workers.length} worker(s), ${running} task(s) running, ${queued} waiting\n`));
    return exitCode.done;
  });
}

/** Distrust beyond which a worker is given one task at a time, as the scheduler has it. */
const ON_TRIAL = 0.6;

/** What an organisation or project has of the pool: its share among those listed, and what of its limit is used. */
function shareFacts({ weight, limit, queued, running, most, granted }: Share, weights: number): string[] {
  const share = weight === 0 ? [] : [`share ${weight} of ${weights}`];
  const MIB = 2n ** 20n;
  const amounts = [
    ...(most === undefined || most.cpu === 0 ? [] : [`${granted?.cpu ?? 0} of ${most.cpu} CPUs`]),
    ...(most === undefined || most.memoryBytes === 0n ? [] : [`${(granted?.memoryBytes ?? 0n) / MIB} of ${most.memoryBytes / MIB} MiB`]),
    ...(most === undefined || most.diskBytes === 0n ? [] : [`${(granted?.diskBytes ?? 0n) / MIB} of ${most.diskBytes / MIB} MiB of disk`]),
  ];
  return [...share, limit === 0 ? `${running} running` : `${running} of ${limit} running`, ...amounts, `${queued} waiting`];
}

/** `guild pool drain`. */
export function drainWorker(context: Context, workerId: string, options: JsonOption): Promise<number> {
  return withConnection(context, async ({ pool }) => {
    await pool.drainWorker({ workerId });
    context.stdout.write(options.json === true ? `${JSON.stringify({ id: workerId, type: "worker", draining: true })}\n` : "draining\n");
    return exitCode.done;
  });
}

/** `guild budget set`. */
export function setBudget(
  context: Context,
  path: string,
  options: JsonOption & { steps?: number; tokens?: number; usd?: number; seconds?: number },
): Promise<number> {
  return withConnection(context, async ({ budgets }) => {
    const { steps = 0, tokens = 0, usd = 0, seconds = 0 } = options;
    const limits = {
      steps: BigInt(Math.round(steps)),
      tokens: BigInt(Math.round(tokens)),
      costUsd: usd,
      seconds: BigInt(Math.round(seconds)),
    };
    const { budget } = await budgets.setBudget({ path, limits });
    if (budget !== undefined) tellBudget(context, budget, options);
    return exitCode.done;
  });
}

/** `guild budget show`. */
export function showBudgets(context: Context, path: string | undefined, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const { budgets } = await connection.budgets.listBudgets({ path: path ?? "" });
    const { shares } = budgets.length === 0 ? { shares: [] } : await connection.pool.listWorkers({});
    for (const budget of budgets) {
      const share = shares.find(({ organisation }) => organisation === budget.path);
      tellBudget(context, budget, options, share);
    }
    if (budgets.length === 0 && options.json !== true) context.stdout.write("no budgets: guild budget set org/project --usd 10\n");
    return exitCode.done;
  });
}

function tellBudget(context: Context, { path, limits, spent, reserved }: Budget, options: JsonOption, share?: Share): void {
  if (options.json === true) {
    const plain = (amounts: BudgetAmounts | undefined) => ({
      steps: Number(amounts?.steps ?? 0n),
      tokens: Number(amounts?.tokens ?? 0n),
      usd: amounts?.costUsd ?? 0,
      seconds: Number(amounts?.seconds ?? 0n),
    });
    const line = { id: path, type: "budget", limits: plain(limits), spent: plain(spent), reserved: plain(reserved), ...tasksOf(share) };
    return void context.stdout.write(`${JSON.stringify(line)}\n`);
  }
  const kinds = [
    ["steps", limits?.steps, spent?.steps, reserved?.steps],
    ["tokens", limits?.tokens, spent?.tokens, reserved?.tokens],
    ["USD", limits?.costUsd, spent?.costUsd, reserved?.costUsd],
    ["seconds", limits?.seconds, spent?.seconds, reserved?.seconds],
  ] as const;
  const texts = kinds.flatMap(([name, limit, used, held]) => {
    if (Number(limit ?? 0) === 0 && Number(used ?? 0) === 0) return [];
    const most = Number(limit ?? 0) === 0 ? "no limit" : String(limit);
    return [`${name} ${used} of ${most}${Number(held ?? 0) === 0 ? "" : ` (${held} held)`}`];
  });
  const tasks = share === undefined || share.limit === 0 ? [] : [`tasks ${share.running} of ${share.limit} at once`];
  context.stdout.write(`${createStyle(context.color).bold(path)}  ${[...texts, ...tasks].join(" · ") || "no limits"}\n`);
}

/** Of a budget's path, where tasks count there. */
function tasksOf(share: Share | undefined) {
  return share === undefined ? {} : { tasks: { running: share.running, queued: share.queued, limit: share.limit } };
}

function workerLine(worker: Worker) {
  const { id, version, labels, roles, load, draining, taskIds, usedSlots, local, orchestratorId, moving, distrust } = worker;
  const { cpu = 0, memoryBytes = 0n, slots = 0 } = worker.capacity ?? {};
  const capacity = { cpu, memory_bytes: Number(memoryBytes), slots };
  return {
    id,
    type: "worker",
    version,
    capacity,
    labels,
    roles,
    load,
    draining,
    tasks: taskIds,
    moving,
    distrust,
    used_slots: usedSlots,
    local,
    orchestrator: orchestratorId,
  };
}
