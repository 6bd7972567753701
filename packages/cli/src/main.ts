import { GuildError } from "@guildhall/core";

import { processContext } from "./client/context.ts";
import { runProgram } from "./program.ts";

/** The `guild` command. */
async function main(): Promise<void> {
  const context = processContext();
  for (const stream of [context.stdout, context.stderr]) {
    // A reader that has seen enough (`guild session events ID | head`) is no fault.
    stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  }
  const code = await runProgram(process.argv.slice(2), context).catch((error: unknown) => {
    context.stderr.write(`guild: ${GuildError.from(error).line}\n`);
    return 1;
  });
  await Promise.all([flushed(context.stdout), flushed(context.stderr)]);
  process.exit(code);
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write("", () => resolve()));
}

await main();
