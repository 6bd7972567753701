import type { ToolSession } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "./define-tool.ts";

const task = z.strictObject({
  title: z.string().min(1),
  status: z.enum(["todo", "in_progress", "done"]),
  notes: z.string().optional(),
});

/** One line of the agent's plan. */
export type Task = z.output<typeof task>;

const schema = z.strictObject({
  command: z.enum(["view", "plan"]),
  tasks: z.array(task).max(200).optional().describe("plan: the whole new list"),
});

/**
 * The agent's plan. Each result's `data` holds the whole list, so that the state after any event is that of the last result in the
 * log (`tasksOf`), and a resumed session is given it back with `restoreTasks`.
 */
export const taskTrackerTool = defineTool({
  name: "task_tracker",
  description: "Keep a task list for work of several steps. `plan` replaces the list, `view` shows it.",
  schema,
  risk: () => Risk.LOW,
  resources: ({ command }) => [{ name: "tasks", access: command === "plan" ? "write" : "read" }],
  repeatable: () => true,
  async execute(input, { session }) {
    const list = taskList(session);
    if (input.command === "plan") {
      if (input.tasks === undefined)
        return { status: "error", output: "`plan` needs `tasks`: the whole list, each with title and status." };
      list.tasks = input.tasks;
    }
    return { status: "ok", output: renderTasks(list.tasks), data: { tasks: list.tasks } };
  },
});

/** The list in an observation's data (as JSON text or parsed); undefined when it holds none. */
export function tasksOf(data: unknown): Task[] | undefined {
  let value = data;
  if (typeof data === "string") {
    try {
      value = JSON.parse(data);
    } catch {
      // Data that is no JSON holds no list.
      return undefined;
    }
  }
  const parsed = z.object({ tasks: z.array(task) }).safeParse(value);
  return parsed.success ? parsed.data.tasks : undefined;
}

/** Gives a session the list that its log ends with. */
export function restoreTasks(session: ToolSession, tasks: Task[]): void {
  taskList(session).tasks = tasks;
}

/** The list as the model reads it. */
export function renderTasks(tasks: readonly Task[]): string {
  if (tasks.length === 0) return "The task list is empty.";
  const mark = { todo: "[ ]", in_progress: "[>]", done: "[x]" };
  return tasks
    .map((one, index) => `${index + 1}. ${mark[one.status]} ${one.title}${one.notes === undefined ? "" : `\n   ${one.notes}`}`)
    .join("\n");
}

function taskList(session: ToolSession): { tasks: Task[] } {
  return session.get<{ tasks: Task[]; close?(): Promise<void> }>("tasks", () => ({ tasks: [] }));
}
