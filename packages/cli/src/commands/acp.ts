import { Readable, Writable } from "node:stream";

import { VERSION } from "@guildhall/core/paths";

import { connect } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { credentialsOf, modelOf } from "./arguments.ts";

/** `guild acp`: an agent for editors, on standard input and output, until the input ends. Sessions that are at work go on. */
export async function serveAcp(context: Context, options: { model?: string; yes?: boolean }): Promise<number> {
  const connection = await connect(context);
  try {
    const [{ ndJsonStream }, { createGuildhallAgent }] = await Promise.all([
      import("@agentclientprotocol/sdk"),
      import("../acp/guildhall-agent.ts"),
    ]);
    const app = createGuildhallAgent({
      connection,
      model: modelOf(context, options.model),
      approvals: options.yes === true ? "never" : "",
      credentials: credentialsOf(context),
      version: VERSION,
    });
    const input = Readable.toWeb(process.stdin) as unknown as ReadableStream<Uint8Array>;
    await app.connect(ndJsonStream(Writable.toWeb(process.stdout) as WritableStream<Uint8Array>, input)).closed;
    return exitCode.done;
  } finally {
    connection.close();
  }
}
