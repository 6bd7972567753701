import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "@guildhall/core";

import type { Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { ask } from "./ask.ts";

/** More of a difference than this is looked at with `guild session diff`, lines. */
const LONGEST = 200;

/**
 * At the end of a turn: shows what the session made and Guildhall has set aside, since programs of the person's would run or obey it, and puts it in
 * place when the person says so at the terminal. Nobody else's word does: not `--yes`, not silence.
 */
export async function offerHeld(
  context: Context,
  connection: Connection,
  session: string,
  options: { json: boolean; interactive: boolean },
): Promise<void> {
  const { files, diff } = await connection.results.diffSession({ sessionId: session, held: true });
  if (files.length === 0) return;
  const paths = files.map(({ path }) => path);
  if (options.json) {
    for (const path of paths) context.stdout.write(`${JSON.stringify({ id: `${session}/${path}`, type: "held", path })}\n`);
    return;
  }
  const what = `set aside, because programs of yours might run what they say: ${paths.join(", ")}`;
  const later = `guild session diff ${session}, then guild session apply ${session} --paths ${paths.join(" ")}`;
  if (!options.interactive) {
    context.stderr.write(`${what} — ${later}\n`);
    return;
  }
  const lines = diff.trimEnd().split("\n");
  context.stdout.write(`\n${what}\n${lines.slice(0, LONGEST).join("\n")}\n`);
  // What has not been seen is not agreed to.
  if (lines.length > LONGEST) context.stdout.write(`${lines.length - LONGEST} more lines: ${later}\n`);
  else if (/^y(es)?$/i.test(await ask(context, "Put this into the workspace? [y/N] "))) await apply(context, connection, session, paths);
  else context.stdout.write(`left aside; later: ${later}\n`);
}

async function apply(context: Context, connection: Connection, session: string, paths: string[]): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      const { applied, conflicts } = await connection.results.applySession({ sessionId: session, paths });
      for (const path of applied) context.stdout.write(`applied ${path}\n`);
      for (const { path, kept } of conflicts) context.stdout.write(`kept yours: ${path}; the session's version is ${kept}\n`);
      return;
    } catch (error) {
      // Its end was told a moment before its worker is done with it.
      if (!GuildError.is(error, "failed_precondition") || tries >= 20) throw error;
      await sleep(100);
    }
  }
}
