import { timestampMs } from "@bufbuild/protobuf/wkt";
import { GuildError } from "@guildhall/core";
import { type Conflict, ConflictStrategy, type Knowledge } from "@guildhall/protocol";

import type { Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { knowledgeJson, knowledgeLine } from "../output/describe-knowledge.ts";
import { createStyle, oneLine } from "../output/style.ts";

/** Whether an approval's id is that of two facts that contradict each other, which `knowledge.conflicts = "ask"` leaves to a person. */
export function isConflict(id: string): boolean {
  return id.startsWith("cfl_");
}

/** Conflicts that wait for a person, oldest first. A daemon whose knowledge cannot be opened says so; what else waits is listed all the same. */
export async function listConflicts(context: Context, connection: Connection, json: boolean): Promise<number> {
  try {
    const { conflicts } = await connection.knowledge.listConflicts({ withResolved: false });
    for (const conflict of conflicts) {
      const { newer, older } = question(conflict);
      const text = `${conflict.id}  ask    knowledge ${oneLine(`“${newer.text}” instead of “${older.text}” — ${conflict.reason}`, 200)}`;
      context.stdout.write(json ? `${JSON.stringify(lineOf(conflict))}\n` : `${text}\n`);
    }
    return conflicts.length;
  } catch (error) {
    context.stderr.write(`guild: conflicts of knowledge are not listed: ${GuildError.from(error).line}\n`);
    return 0;
  }
}

/** `guild approval show <conflict>`: both sides whole. */
export async function showConflict(context: Context, connection: Connection, id: string, json: boolean): Promise<number> {
  const conflict = await find(connection, id);
  const style = createStyle(context.color);
  const { newer, older } = question(conflict);
  context.stdout.write(
    json
      ? `${JSON.stringify(lineOf(conflict))}\n`
      : `${id}  ${conflict.kind}: ${oneLine(conflict.reason, 200)}\n  grant: ${knowledgeLine(newer, style)}\n  deny:  ${knowledgeLine(older, style)}\n`,
  );
  return exitCode.done;
}

/** `guild approval grant <conflict>`: the newer fact stands; `deny`: the older one does. The other stays in history. */
export async function decideConflict(
  context: Context,
  connection: Connection,
  id: string,
  decision: { granted: boolean; json: boolean },
): Promise<number> {
  const conflict = await find(connection, id);
  const { newer, older } = question(conflict);
  const winner = decision.granted ? newer : older;
  await connection.knowledge.resolveConflict({ id, strategy: ConflictStrategy.ASK, winner: winner.id });
  const word = decision.granted ? "granted" : "denied";
  context.stdout.write(
    decision.json
      ? `${JSON.stringify({ id, type: "decision", decision: word, winner: winner.id })}\n`
      : `${word}: ${winner.id} stands: ${oneLine(winner.text, 200)}\n`,
  );
  return exitCode.done;
}

async function find(connection: Connection, id: string): Promise<Conflict> {
  const { conflicts } = await connection.knowledge.listConflicts({ withResolved: false });
  const found = conflicts.find((conflict) => conflict.id === id);
  if (found !== undefined) return found;
  throw new GuildError("not_found", "no such conflict waits for a person", {
    subject: id,
    remedy: "it may be settled already; guild knowledge conflicts --all shows how",
  });
}

function question({ id, sides }: Conflict): { newer: Knowledge; older: Knowledge } {
  const at = ({ recordedFrom }: Knowledge): number => (recordedFrom === undefined ? 0 : timestampMs(recordedFrom));
  const [older, newer] = sides.toSorted((x, y) => at(x) - at(y) || (x.id < y.id ? -1 : 1));
  if (older === undefined || newer === undefined) throw new GuildError("internal", "a conflict without two sides", { subject: id });
  return { newer, older };
}

function lineOf(conflict: Conflict): Record<string, unknown> {
  const { id, kind, reason } = conflict;
  const { newer, older } = question(conflict);
  return { id, type: "approval", tool: "knowledge", kind, reason, grant: knowledgeJson(newer), deny: knowledgeJson(older) };
}
