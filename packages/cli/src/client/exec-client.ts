import net from "node:net";

import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { type ErrorCode, GuildError } from "@guildhall/core";
import { ErrorDetailSchema, PortsService, ToolService } from "@guildhall/protocol";

/** A client for the one call that streams both ways; HTTP/2, so its code is loaded only where it is needed. */
export interface ExecClient {
  exec: Client<typeof ToolService>["exec"];
  close(): void;
}

export function openExec(socketPath: string): ExecClient {
  const { transport, close } = openTransport(socketPath);
  const client = createClient(ToolService, transport);
  return {
    exec: (requests, options) => withOwnErrors(client.exec(requests, options)),
    close,
  };
}

/** A client for connections to ports of sandboxes, as many at a time as there are. */
export interface PortsClient {
  connectPort: Client<typeof PortsService>["connectPort"];
  close(): void;
}

export function openPorts(socketPath: string): PortsClient {
  const { transport, close } = openTransport(socketPath);
  const client = createClient(PortsService, transport);
  return {
    connectPort: (requests, options) => withOwnErrors(client.connectPort(requests, options)),
    close,
  };
}

function openTransport(socketPath: string): { transport: Transport; close(): void } {
  const sessionManager = new Http2SessionManager("http://guildhall.local", {}, { createConnection: () => net.connect(socketPath) });
  return { transport: createGrpcTransport({ baseUrl: "http://guildhall.local", sessionManager }), close: () => sessionManager.abort() };
}

async function* withOwnErrors<T>(responses: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* responses;
  } catch (error) {
    throw toGuildError(error);
  }
}

/** The error that a status stands for. Without a detail of ours, the status code decides. */
function toGuildError(error: unknown): GuildError {
  if (!(error instanceof ConnectError)) return GuildError.from(error);
  if (error.cause instanceof GuildError) return error.cause;
  const [detail] = error.findDetails(ErrorDetailSchema);
  if (detail !== undefined) {
    return new GuildError(detail.code as ErrorCode, error.rawMessage, {
      ...(detail.subject === "" ? {} : { subject: detail.subject }),
      ...(detail.remedy === "" ? {} : { remedy: detail.remedy }),
      cause: error,
    });
  }
  if (error.code === Code.Canceled) return new GuildError("cancelled", "the call was cancelled", { cause: error });
  return new GuildError("unavailable", `the daemon went away: ${error.rawMessage}`, { remedy: "run the command again", cause: error });
}
