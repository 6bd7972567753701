import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "@guildhall/core";
import { OnFailure, type Task, TaskState } from "@guildhall/protocol";

import type { Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { createStyle, oneLine } from "../output/style.ts";
import { credentialsOf, modelOf, parseJson, workspaceOf } from "./arguments.ts";
import { withConnection } from "./session.ts";

interface JsonOption {
  json?: boolean;
}

/** What one task asks for, on the command line or in a graph's file. */
export interface TaskOptions {
  workspace?: string;
  git?: string;
  ref?: string;
  push?: string;
  /** Send the files of the workspace along. */
  upload?: boolean;
  model?: string;
  baseUrl?: string;
  sandbox?: string;
  maxSteps?: number;
  yes?: boolean;
  priority?: number;
  project?: string;
  cpu?: number;
  memory?: number;
  disk?: number;
  role?: string;
  label?: string[];
  attempts?: number;
  deadline?: number;
}

interface GraphTask extends TaskOptions {
  name?: string;
  goal: string;
  /** Names, or names with what happens when they fail: fail (default), skip, continue. */
  after?: Array<string | { task: string; on_failure?: "fail" | "skip" | "continue" }>;
}

/** `guild task submit`. */
export function submit(context: Context, goal: string, options: TaskOptions & JsonOption & { wait?: boolean }): Promise<number> {
  return submitAll(context, [{ ...options, goal }], options);
}

/** `guild task graph`: a JSON list of tasks. */
export async function graph(context: Context, file: string, options: JsonOption & { wait?: boolean }): Promise<number> {
  const read = file === "-" ? await text(context.stdin) : readFile(file);
  const tasks = parseJson(read, file === "-" ? "standard input" : file);
  if (!Array.isArray(tasks))
    throw new GuildError("invalid_argument", "a graph is a JSON list of tasks", { subject: file, remedy: "see docs/tasks.md" });
  return await submitAll(context, tasks as GraphTask[], options);
}

/** `guild task list`. */
export function list(context: Context, options: JsonOption & { limit: number; unfinished?: boolean }): Promise<number> {
  return withConnection(context, async (connection) => {
    const { tasks } = await connection.tasks.listTasks({ limit: options.limit, unfinished: options.unfinished === true });
    for (const task of tasks) tell(context, task, options);
    return exitCode.done;
  });
}

/** `guild task show`. */
export function show(context: Context, id: string, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const { task } = await connection.tasks.getTask({ taskId: id });
    if (task === undefined) return exitCode.failed;
    if (options.json === true) tell(context, task, options);
    else for (const [name, value] of facts(task)) context.stdout.write(`${name.padEnd(10)} ${value}\n`);
    return exitCode.done;
  });
}

/** `guild task cancel`. */
export function cancel(context: Context, id: string, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const { tasks } = await connection.tasks.cancelTask({ taskId: id });
    for (const task of tasks) tell(context, task, options);
    if (tasks.length === 0 && options.json !== true) context.stdout.write("it has ended already\n");
    return exitCode.done;
  });
}

/** `guild task priority`. */
export function setPriority(context: Context, id: string, priority: number, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const { task } = await connection.tasks.setTaskPriority({ taskId: id, priority });
    if (task !== undefined) tell(context, task, options);
    return exitCode.done;
  });
}

function submitAll(context: Context, tasks: GraphTask[], options: JsonOption & { wait?: boolean }): Promise<number> {
  return withConnection(context, async (connection) => {
    const specs = tasks.map((task) => specOf(context, task));
    for (const [index, spec] of specs.entries()) {
      const { source } = spec.workspace;
      if (tasks[index]?.upload !== true || source.case !== "path") continue;
      const { upload } = await import("./task-files.ts");
      spec.workspace = { ...spec.workspace, source: { case: "upload", value: await upload(connection, source.value) } };
    }
    const response = await connection.tasks.submitTasks({
      tasks: specs,
      credentials: credentialsOf(context),
    });
    for (const task of response.tasks) tell(context, task, options);
    return options.wait === true ? await waitFor(context, connection, response.tasks, options) : exitCode.done;
  });
}

function specOf(context: Context, task: GraphTask) {
  const gitRef = task.ref ?? "";
  const workspace: { source: { case: "path" | "gitUrl" | "upload"; value: string }; gitRef?: string } =
    task.git === undefined
      ? { source: { case: "path", value: workspaceOf(context, task.workspace) } }
      : { source: { case: "gitUrl", value: task.git }, gitRef };
  const labels = Object.fromEntries((task.label ?? []).map((pair) => [pair.split("=", 1)[0] ?? "", pair.slice(pair.indexOf("=") + 1)]));
  return {
    name: task.name ?? "",
    goal: task.goal,
    workspace,
    model: modelOf(context, task.model),
    baseUrl: task.baseUrl ?? "",
    sandbox: task.sandbox ?? "",
    ...(task.maxSteps === undefined ? {} : { limits: { maxSteps: task.maxSteps } }),
    approvalPolicy: task.yes === true ? "never" : "",
    priority: task.priority ?? 50,
    project: task.project ?? "",
    needs: { cpu: task.cpu ?? 0, memoryBytes: mebibytes(task.memory), diskBytes: mebibytes(task.disk), role: task.role ?? "", labels },
    dependencies: (task.after ?? []).map((one) => {
      const { task: on, on_failure = "fail" } = typeof one === "string" ? { task: one } : one;
      return { on, onFailure: policies[on_failure] };
    }),
    maxAttempts: task.attempts ?? 0,
    deadlineSeconds: task.deadline ?? 0,
    resultBranch: task.push ?? "",
  };
}

const policies = { fail: OnFailure.FAIL, skip: OnFailure.SKIP, continue: OnFailure.CONTINUE };

/** Asks once a second: a task is minutes of work. */
async function waitFor(context: Context, connection: Connection, tasks: Task[], options: JsonOption): Promise<number> {
  const open = new Set(tasks.map(({ id }) => id));
  let good = true;
  while (open.size > 0) {
    await sleep(500);
    for (const id of open) {
      const { task } = await connection.tasks.getTask({ taskId: id });
      if (task === undefined || task.state < TaskState.HELD) continue;
      open.delete(id);
      good &&= task.state === TaskState.SUCCEEDED;
      tell(context, task, options);
    }
  }
  return good ? exitCode.done : exitCode.failed;
}

function readFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new GuildError("not_found", "the graph cannot be read", { subject: file, remedy: "check the path", cause: error });
  }
}

function stateName(state: TaskState): string {
  const found = Object.entries(TaskState).find(([, value]) => value === state);
  return found?.[0].toLowerCase() ?? "unknown";
}

function tell(context: Context, task: Task, options: JsonOption): void {
  const { id, spec, state, reason, sessionId, workerId, attempt, graphId } = task;
  if (options.json === true) {
    const { name = "", goal = "", priority = 0 } = spec ?? {};
    const line = {
      id,
      type: "task",
      graph: graphId,
      name,
      state: stateName(state),
      reason,
      goal,
      priority,
      session: sessionId,
      worker: workerId,
      attempt,
    };
    return void context.stdout.write(`${JSON.stringify(line)}\n`);
  }
  const style = createStyle(context.color);
  const name = stateName(state).padEnd(9);
  const shown = state === TaskState.SUCCEEDED ? style.good(name) : state === TaskState.FAILED ? style.bad(name) : style.warn(name);
  const why = reason === "" ? "" : style.dim(` — ${oneLine(reason, 100)}`);
  context.stdout.write(`${style.bold(id)}  ${shown} ${oneLine(spec?.goal ?? "", 60)}${why}\n`);
}

function facts(task: Task): Array<[string, string]> {
  const { spec } = task;
  const all: Array<[string, string]> = [
    ["task", task.id],
    ["name", spec?.name ?? ""],
    ["goal", oneLine(spec?.goal ?? "", 200)],
    ["state", stateName(task.state)],
    ["reason", task.reason],
    ["priority", String(spec?.priority ?? 0)],
    ["project", spec?.project ?? ""],
    ["session", task.sessionId],
    ["worker", task.workerId],
    ["attempt", task.attempt === 0 ? "" : String(task.attempt)],
    ["after", (spec?.dependencies ?? []).map(({ on }) => on).join(", ")],
  ];
  return all.filter(([, value]) => value !== "");
}

function mebibytes(count = 0): bigint {
  return BigInt(Math.round(count * 2 ** 20));
}
