import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";

import { repository } from "../cli/guild.ts";
import type { ServiceSystem } from "./system.ts";

/** Two tasks of six steps of a second, on clones of `origins` (their `steps.txt` comes to the branch `result`), one at each of two workers with one slot. */
export async function shareOut(system: ServiceSystem): Promise<{ tasks: string[]; sessions: string[]; origins: string[] }> {
  const step = (n: number) =>
    `  - say: step ${n}\n    calls:\n      - tool: bash\n        args: { command: "echo ${n} >> steps.txt; sleep 1" }\n`;
  const steps = Array.from({ length: 6 }, (_, n) => step(n + 1)).join("");
  const done = "  - say: done\n    calls:\n      - tool: finish\n        args: { done: true, summary: all is done }\n";
  const script = system.home.write("steps.yaml", `steps:\n${steps}${done}`);
  const origins = ["a", "b"].map((name) => mkdtempSync(join(system.home.directory, `${name}-`)));
  const specs = origins.map((origin) => {
    repository(origin);
    const workspace = { gitUrl: `file://${origin}` };
    return { goal: "six steps", workspace, resultBranch: "result", model: `scripted:${script}`, approvalPolicy: "never" };
  });
  const { tasks = [] } = (await system.call("TaskService/SubmitTasks", { tasks: specs })) as { tasks?: Array<{ id: string }> };
  const running = await Promise.all(tasks.map(({ id }) => system.task(id, ({ session, worker }) => session !== "" && worker !== "")));
  assert.equal(new Set(running.map(({ worker }) => worker)).size, 2, "each of the two has one");
  return { tasks: tasks.map(({ id }) => id), sessions: running.map(({ session }) => String(session)), origins };
}
