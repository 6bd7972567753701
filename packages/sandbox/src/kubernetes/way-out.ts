import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";

import type { Sandbox } from "@guildhall/core";

import { acceptOnPort, listenOnPort, type PortStream } from "../init-ports.ts";
import { AUTHORITY_FILE, BUNDLE_FILE, INNER_WAY_OUT, PROXY_SOCKET, WAY_OUT_MOUNT } from "../network/way-out.ts";
import type { InitConnection } from "../wire/connection.ts";

/** Connections that are asked for before somebody inside makes them; the kernel holds more back. */
const ASKED_AHEAD = 8;

/**
 * Makes the proxy of this worker reachable as a port on the sandbox's loopback, through the connection to its init: the pod itself has no network. The
 * proxy's authority is put inside as files. Resolves when it listens.
 */
export async function relayWayOut(sandbox: Sandbox, connection: InitConnection, directory: string): Promise<void> {
  for (const name of [AUTHORITY_FILE, BUNDLE_FILE]) {
    await sandbox.files.write(`${WAY_OUT_MOUNT}/${name}`, await readFile(join(directory, name)), { mode: 0o444 });
  }
  await listenOnPort(connection, INNER_WAY_OUT.port);
  const proxy = join(directory, PROXY_SOCKET);
  const serve = async (): Promise<void> => {
    for (;;) {
      const stream = await acceptOnPort(connection, INNER_WAY_OUT.port);
      // A connection that breaks off is its two ends' business: both see it end.
      carry(stream, proxy).catch(() => undefined);
    }
  };
  // Each ends with the sandbox, whose `gone` says why.
  for (let ahead = 0; ahead < ASKED_AHEAD; ahead += 1) serve().catch(() => undefined);
}

async function carry(stream: PortStream, path: string): Promise<void> {
  const socket = createConnection({ path, allowHalfOpen: true });
  socket.on("error", () => socket.destroy()); // the loops below end
  const outwards = async (): Promise<void> => {
    for await (const bytes of stream.readable) {
      if (!socket.write(bytes)) await Promise.race([once(socket, "drain"), once(socket, "close")]);
      if (socket.destroyed) return;
    }
    socket.end();
  };
  const inwards = async (): Promise<void> => {
    for await (const bytes of socket as AsyncIterable<Buffer>) await stream.write(bytes);
    await stream.end();
  };
  try {
    await Promise.all([outwards(), inwards()]);
  } finally {
    socket.destroy();
    await stream.close();
  }
}
