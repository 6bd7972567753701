import type { Session } from "@guildhall/protocol";

import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { sessionLine, statusName } from "../output/json.ts";
import { count, createStyle, money, oneLine } from "../output/style.ts";
import { present, withConnection } from "./session.ts";

interface JsonOption {
  json?: boolean;
}

/** `guild session compare`: two sessions side by side, then the files in which their workspaces differ. */
export function compare(context: Context, a: string, b: string, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const answer = await connection.sessions.compareSessions({ sessionA: a, sessionB: b });
    const { commonEvents, checkpointsA, checkpointsB, treeA, treeB, files, more } = answer;
    const [one, other] = [present(answer.a), present(answer.b)];
    if (options.json === true) {
      const line = {
        id: `${a}/${b}`,
        type: "comparison",
        a: { ...sessionLine(one), checkpoints: checkpointsA, tree: treeA },
        b: { ...sessionLine(other), checkpoints: checkpointsB, tree: treeB },
        common_events: commonEvents,
        files: files.map(({ path, difference }) => ({ path, difference })),
        more,
      };
      context.stdout.write(`${JSON.stringify(line)}\n`);
      return exitCode.done;
    }
    const style = createStyle(context.color);
    const width = 46;
    const row = (name: string, left: string, right: string): void =>
      void context.stdout.write(`${name.padEnd(12)} ${oneLine(left, width).padEnd(width)} ${oneLine(right, width)}\n`);
    row("", one.id, other.id);
    for (const [name, of] of FACTS) row(name, of(one), of(other));
    row("checkpoints", String(checkpointsA), String(checkpointsB));
    context.stdout.write(`${"in common".padEnd(12)} ${commonEvents === 0 ? "nothing" : `the first ${commonEvents} events`}\n`);
    if (files.length === 0)
      context.stdout.write(treeA === treeB ? "the files are the same\n" : "the files cannot be compared: a checkpoint is missing\n");
    const marks: Record<string, string> = {
      only_a: style.bad("- only the first "),
      only_b: style.good("+ only the second"),
      different: "~ different      ",
    };
    for (const { path, difference } of files) context.stdout.write(`${marks[difference] ?? difference} ${path}\n`);
    if (more) context.stdout.write("and more\n");
    return exitCode.done;
  });
}

/** `guild session gc`. */
export function collect(context: Context, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const { workspaces, objects, bytes } = await connection.sessions.collectCheckpoints({});
    if (options.json === true) {
      const line = { id: "checkpoints", type: "collection", workspaces, objects: Number(objects), bytes: Number(bytes) };
      context.stdout.write(`${JSON.stringify(line)}\n`);
    } else context.stdout.write(`freed ${objects} objects, ${bytes} bytes, in ${workspaces} workspaces\n`);
    return exitCode.done;
  });
}

const FACTS: Array<[string, (session: Session) => string]> = [
  ["goal", (session) => session.title],
  ["status", (session) => statusName(session.status)],
  ["end", (session) => session.summary],
  ["model", (session) => session.model],
  ["steps", (session) => String(session.steps)],
  ["tokens", ({ usage }) => `${count(usage?.inputTokens ?? 0)} in, ${count(usage?.outputTokens ?? 0)} out`],
  ["cost", ({ usage }) => (usage?.costKnown === true ? money(usage.costUsd) : "not known")],
  ["workspace", (session) => session.workspace],
];
