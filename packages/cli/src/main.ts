import { GuildError } from "@guildhall/core";

import { processContext } from "./client/context.ts";
import { exitOfError } from "./exit.ts";
import { runProgram } from "./program.ts";

/** The `guild` command. */
async function main(): Promise<number> {
  for (const stream of [process.stdout, process.stderr]) {
    // A reader that has seen enough (`guild session events ID | head`) is no fault.
    stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  }
  try {
    return await runProgram(process.argv.slice(2), processContext());
  } catch (error) {
    const own = GuildError.from(error);
    process.stderr.write(`guild: ${own.line}\n`);
    return exitOfError(own);
  }
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write("", () => resolve()));
}

const code = await main();
await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
process.exit(code);
