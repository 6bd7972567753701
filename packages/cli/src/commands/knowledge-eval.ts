import { resolve } from "node:path";

import type { Context } from "../client/context.ts";
import { runTask } from "../client/daemon-process.ts";
import { exitCode } from "../exit.ts";

interface EvalOptions {
  docs: string;
  queries: string;
  qrels: string;
  k: number;
  json?: boolean;
}

/** `guild knowledge eval`: runs beside the daemon, in a process of its own. */
export async function evaluate(context: Context, options: EvalOptions): Promise<number> {
  const file = (name: string): string => resolve(context.cwd, name);
  const { docs, queries, qrels, k, json = false } = options;
  await runTask(context, ["--evaluate", JSON.stringify({ docs: file(docs), queries: file(queries), qrels: file(qrels), k, json })]);
  return exitCode.done;
}
