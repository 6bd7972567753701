import { randomBytes } from "node:crypto";

import { GuildError } from "@guildhall/core";
import { VERSION } from "@guildhall/core/paths";
import type { OpenToolboxResponse } from "@guildhall/protocol";
import type { Server } from "@modelcontextprotocol/server";

import { connect, type Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { credentialsOf, workspaceOf } from "./arguments.ts";

interface ServeOptions {
  workspace?: string;
  sandbox?: string;
  listen?: string;
}

/** `guild mcp serve`: until standard input ends, or with `--listen` until it is stopped. */
export async function serve(context: Context, options: ServeOptions): Promise<number> {
  const connection = await connect(context);
  const workspace = workspaceOf(context, options.workspace);
  const servers = new Set<Server>();
  const box = holdToolbox(connection, workspace, options.sandbox ?? "", () => {
    // Clients that do not listen for changes have nothing to be told.
    for (const server of servers) server.sendToolListChanged().catch(() => undefined);
  });
  try {
    const { createGuildhallServer } = await import("../mcp/guildhall-server.ts");
    const create = (): Server => {
      const server = createGuildhallServer({
        connection,
        workspace,
        toolbox: box.latest,
        credentials: credentialsOf(context),
        version: VERSION,
      });
      servers.add(server);
      server.onclose = () => servers.delete(server);
      return server;
    };
    await (options.listen === undefined ? overStdio(create) : overHttp(context, create, options.listen));
    return exitCode.done;
  } finally {
    await box.close();
    connection.close();
  }
}

async function overStdio(create: () => Server): Promise<void> {
  const { serveStdio, StdioServerTransport } = await import("@modelcontextprotocol/server/stdio");
  const over = Promise.withResolvers<void>();
  const handle = serveStdio(create, { transport: new StdioServerTransport() });
  process.stdin.once("end", over.resolve).once("close", over.resolve);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, over.resolve);
  await over.promise;
  await handle.close();
}

async function overHttp(context: Context, create: () => Server, address: string): Promise<void> {
  const { serveOverHttp } = await import("../mcp/serve-http.ts");
  const [, host = "", port = ""] = /^(.*):(\d{1,5})$/.exec(address) ?? [];
  const token = randomBytes(24).toString("base64url");
  const endpoint = await serveOverHttp({ create, host, port: Number(port), token });
  context.stdout.write(`${JSON.stringify({ url: endpoint.url, token })}\n`);
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  await endpoint.close();
}

/** Opens the toolbox at once and keeps it; `changed` is called when its tools are others. */
function holdToolbox(
  connection: Connection,
  workspace: string,
  sandbox: string,
  changed: () => void,
): { latest(): Promise<OpenToolboxResponse>; close(): Promise<void> } {
  const left = new AbortController();
  const first = Promise.withResolvers<OpenToolboxResponse>();
  let latest = first.promise;
  const read = async (): Promise<void> => {
    let begun = false;
    for await (const told of connection.extensions.openToolbox({ workspace, sandbox }, { signal: left.signal })) {
      if (begun) {
        latest = Promise.resolve(told);
        changed();
      }
      begun = true;
      first.resolve(told);
    }
    throw new GuildError("unavailable", "the daemon has closed the sandbox", { remedy: "start the server again" });
  };
  // Whoever asks for a tool hears of it.
  const reading = read().catch((error: unknown) => {
    first.reject(error);
    latest = Promise.reject(GuildError.from(error));
    latest.catch(() => undefined); // Told to whoever asks for a tool next.
  });
  first.promise.catch(() => undefined); // The same.
  return {
    latest: () => latest,
    async close() {
      left.abort();
      await reading;
    },
  };
}
