import type { Context } from "../client/context.ts";

/** One line that a person types. */
export async function ask(context: Context, question: string): Promise<string> {
  const { createInterface } = await import("node:readline/promises");
  // The terminal edits the line: what we write to it carries no control characters of anybody's. Ctrl-C stays the session's that way, too.
  const terminal = createInterface({ input: context.stdin, output: context.stdout, terminal: false });
  try {
    return (await terminal.question(question)).trim();
  } finally {
    terminal.close();
  }
}
