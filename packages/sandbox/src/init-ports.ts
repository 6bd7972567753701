import { GuildError, type Sandbox } from "@guildhall/core";

import { ByteChannel, OUTPUT_WINDOW } from "./wire/byte-channel.ts";
import type { InitConnection } from "./wire/connection.ts";
import { FrameBuilder, ToInit } from "./wire/frame.ts";
import { initError } from "./wire/init-error.ts";

/** A byte stream between the host and a port on the sandbox's loopback. */
export type PortStream = Awaited<ReturnType<Sandbox["connect"]>> & {
  /** Tells the peer inside that nothing more comes; it can still send. */
  end(): Promise<void>;
};

/** To a port inside on which something listens. Throws `invalid_argument`, `unavailable`. */
export function connectPort(connection: InitConnection, port: number): Promise<PortStream> {
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new GuildError("invalid_argument", `there is no port ${port}`);
  return openStream(connection, ToInit.connect, port, "cannot connect to port");
}

/** Has the init listen on a port inside, for as long as the sandbox lives. Throws `already_exists`, `failed_precondition`. */
export async function listenOnPort(connection: InitConnection, port: number): Promise<void> {
  const id = connection.newId();
  const { errno } = await connection.request(id, new FrameBuilder(ToInit.listen, id, 2).u16(port));
  if (errno !== 0) throw initError(errno, "cannot listen on port", String(port));
}

/** The next connection that somebody inside makes to a port of `listenOnPort`; resolves when there is one. */
export function acceptOnPort(connection: InitConnection, port: number): Promise<PortStream> {
  return openStream(connection, ToInit.accept, port, "cannot accept on port");
}

async function openStream(connection: InitConnection, type: number, port: number, failed: string): Promise<PortStream> {
  const id = connection.newId();
  const channel = new ByteChannel(connection, id);
  const { errno } = await connection.request(id, new FrameBuilder(type, id, 8).u32(OUTPUT_WINDOW).u16(port));
  if (errno !== 0) {
    connection.unlisten(id);
    throw initError(errno, failed, String(port));
  }
  return {
    readable: bytesOf(channel),
    write: (bytes) => channel.write(bytes),
    end: () => channel.closeInput(),
    close: async () => {
      channel.endOutput(true);
      const request = connection.newId();
      await connection.request(request, new FrameBuilder(ToInit.close, request, 4).u32(id));
      connection.unlisten(id);
      channel.gone("closed");
    },
  };
}

async function* bytesOf(channel: ByteChannel): AsyncGenerator<Uint8Array> {
  for await (const chunk of channel.output) yield chunk.bytes;
}
