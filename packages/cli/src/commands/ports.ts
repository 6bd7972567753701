import { once } from "node:events";
import { createServer, type Socket } from "node:net";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { createPushQueue, GuildError } from "@guildhall/core";
import type { ConnectPortRequestSchema } from "@guildhall/protocol";

import type { Context } from "../client/context.ts";
import type { PortsClient } from "../client/exec-client.ts";
import { exitCode } from "../exit.ts";
import { withConnection } from "./session.ts";

/** `guild session ports`: what is listened on in the session's sandbox. */
export function listPorts(context: Context, id: string, options: { json?: boolean }): Promise<number> {
  return withConnection(context, async (connection) => {
    const { ports } = await connection.ports.listPorts({ sessionId: id });
    for (const { protocol, address, port } of ports) {
      const line =
        options.json === true
          ? JSON.stringify({ id: `${id}/${protocol}/${port}`, type: "port", protocol, address, port })
          : `${protocol} ${address}:${port}`;
      context.stdout.write(`${line}\n`);
    }
    if (ports.length === 0 && options.json !== true) context.stdout.write("nothing is listened on\n");
    return exitCode.done;
  });
}

/** `guild session forward ID [LOCAL:]REMOTE`: until it is interrupted, connections to a port on this machine's loopback lead into the sandbox. */
export function forwardPort(context: Context, id: string, ports: string): Promise<number> {
  const { local, remote } = readPorts(ports);
  return withConnection(context, async (connection) => {
    // Asked first, so that a session without a sandbox is told of at once.
    await connection.ports.listPorts({ sessionId: id });
    const { openPorts } = await import("../client/exec-client.ts");
    const client = openPorts(connection.socket);
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      carry(client, socket, id, remote).catch((error: unknown) => {
        socket.destroy();
        context.stderr.write(`guild: ${GuildError.from(error).line}\n`);
      });
    });
    try {
      server.listen(local, "127.0.0.1");
      await once(server, "listening").catch((error: unknown) => {
        throw new GuildError(
          "failed_precondition",
          `port ${local} cannot be listened on: ${String((error as NodeJS.ErrnoException).code)}`,
          {
            remedy: `name another one: guild session forward ${id} 0:${remote}`,
            cause: error,
          },
        );
      });
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : local;
      context.stdout.write(`127.0.0.1:${port} leads to port ${remote} of ${id}, until you interrupt this\n`);
      await interrupted();
      return exitCode.done;
    } finally {
      server.close();
      for (const socket of sockets) socket.destroy();
      client.close();
    }
  });
}

function readPorts(text: string): { local: number; remote: number } {
  const match = /^(?:(\d{1,5}):)?(\d{1,5})$/.exec(text);
  const remote = Number(match?.[2] ?? 0);
  const local = match?.[1] === undefined ? remote : Number(match[1]);
  if (remote < 1 || remote > 65_535 || local > 65_535) {
    throw new GuildError("invalid_argument", `${text} names no ports`, {
      remedy: "write REMOTE, or LOCAL:REMOTE; a LOCAL of 0 takes a free one",
    });
  }
  return { local, remote };
}

/** One connection: what the socket sends goes in, what comes out is written to it. */
async function carry(client: PortsClient, socket: Socket, sessionId: string, port: number): Promise<void> {
  const requests = createPushQueue<MessageInitShape<typeof ConnectPortRequestSchema>>();
  requests.push({ kind: { case: "start", value: { sessionId, port } } });
  socket.on("data", (chunk: Buffer) => requests.push({ kind: { case: "bytes", value: new Uint8Array(chunk) } }));
  const over = new AbortController();
  socket.on("error", () => over.abort());
  socket.on("close", () => {
    requests.end();
    over.abort();
  });
  try {
    for await (const { bytes } of client.connectPort(requests.items(), { signal: over.signal })) {
      if (bytes.length > 0 && !socket.write(bytes)) await once(socket, "drain", { signal: over.signal });
    }
    socket.end();
  } catch (error) {
    if (!over.signal.aborted) throw error;
  }
}

async function interrupted(): Promise<void> {
  const heard = Promise.withResolvers<void>();
  const stop = (): void => heard.resolve();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, stop);
  await heard.promise;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(signal, stop);
}
