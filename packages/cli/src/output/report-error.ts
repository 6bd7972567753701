import type { GuildError } from "@guildhall/core";

import type { Context } from "../client/context.ts";

/** One line for a person on stderr; with `--json` also one object on stdout. */
export function reportError(error: GuildError, context: Context, json: boolean): void {
  context.stderr.write(`guild: ${error.line.replaceAll(/\s*\n\s*/g, " ")}\n`);
  if (!json) return;
  const { code, message, subject, remedy } = error;
  context.stdout.write(`${JSON.stringify({ id: "error", type: "error", code, message, subject, remedy })}\n`);
}
