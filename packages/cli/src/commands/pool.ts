import type { Budget, BudgetAmounts, Worker } from "@guildhall/protocol";

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
        ...(worker.local ? ["in the daemon"] : []),
        ...labels,
      ];
      context.stdout.write(`${style.bold(worker.id)}  ${facts.join(" · ")}\n`);
      if (worker.taskIds.length > 0) context.stdout.write(`  ${style.dim(worker.taskIds.join(" "))}\n`);
    }
    for (const { organisation, weight, limit, queued: waiting, running: busy } of shares) {
      const facts = [`share ${weight}`, ...(limit === 0 ? [] : [`${limit} at once at the most`]), `${busy} running`, `${waiting} waiting`];
      context.stdout.write(`${style.bold(organisation || "(no organisation)")}  ${facts.join(" · ")}\n`);
    }
    context.stdout.write(style.dim(`${workers.length} worker(s), ${running} task(s) running, ${queued} waiting\n`));
    return exitCode.done;
  });
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
    for (const budget of budgets) tellBudget(context, budget, options);
    if (budgets.length === 0 && options.json !== true) context.stdout.write("no budgets: guild budget set org/project --usd 10\n");
    return exitCode.done;
  });
}

function tellBudget(context: Context, { path, limits, spent, reserved }: Budget, options: JsonOption): void {
  if (options.json === true) {
    const plain = (amounts: BudgetAmounts | undefined) => ({
      steps: Number(amounts?.steps ?? 0n),
      tokens: Number(amounts?.tokens ?? 0n),
      usd: amounts?.costUsd ?? 0,
      seconds: Number(amounts?.seconds ?? 0n),
    });
    const line = { id: path, type: "budget", limits: plain(limits), spent: plain(spent), reserved: plain(reserved) };
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
  context.stdout.write(`${createStyle(context.color).bold(path)}  ${texts.join(" · ") || "no limits"}\n`);
}

function workerLine(worker: Worker) {
  const { id, version, labels, roles, load, draining, taskIds, usedSlots, local } = worker;
  const { cpu = 0, memoryBytes = 0n, slots = 0 } = worker.capacity ?? {};
  const capacity = { cpu, memory_bytes: Number(memoryBytes), slots };
  return { id, type: "worker", version, capacity, labels, roles, load, draining, tasks: taskIds, used_slots: usedSlots, local };
}
