import { Duplex } from "node:stream";

import { GuildError } from "@guildhall/core";

import { type KubernetesApi, refusal } from "./api.ts";

/** First byte of each message, by the remote command protocol (`v5.channel.k8s.io`, and `v4` without the last one). */
const Channel = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 } as const;
const PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

const LONGEST_COMPLAINT = 4096;
const LARGEST_MESSAGE = 64 * 1024;
const PATIENCE_MS = 30_000;

/** A command in a container: what is written goes to its standard input, what is read is its standard output. */
export interface ExecStream {
  stream: Duplex;
  /** Resolves with what the server, or the command on its standard error, said of the end. Never rejects. */
  ended: Promise<string>;
}

/**
 * Runs a command in a container of a pod, over a WebSocket on the subresource `exec`. The stream ends with the command; an end of ours closes its
 * standard input and the connection. Throws as the server refuses.
 */
export async function execInPod(api: KubernetesApi, pod: string, container: string, command: readonly string[]): Promise<ExecStream> {
  const { WebSocket } = await import("ws"); // who has no pods does not pay for it
  const query = new URLSearchParams([
    ["container", container],
    ["stdin", "true"],
    ["stdout", "true"],
    ["stderr", "true"],
    ...command.map((word): [string, string] => ["command", word]),
  ]);
  const path = `/api/v1/namespaces/{namespace}/pods/${pod}/exec?${query}`;
  const [url, { headers, ca }] = await Promise.all([api.url(path), api.access()]);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url, PROTOCOLS, {
    headers,
    perMessageDeflate: false,
    handshakeTimeout: PATIENCE_MS,
    ...(ca === undefined ? {} : { ca }),
  });
  const ended = Promise.withResolvers<string>();
  let said = "";
  const stream = new Duplex({
    read: () => socket.resume(),
    write(bytes: Buffer, _encoding, done) {
      sendAll(bytes, done);
    },
    final(done) {
      if (socket.protocol === PROTOCOLS[0] && socket.readyState === WebSocket.OPEN)
        socket.send(Buffer.from([Channel.close, Channel.stdin]));
      done();
    },
    destroy(error, done) {
      socket.terminate();
      done(error);
    },
  });
  function sendAll(bytes: Buffer, done: (error?: Error | null) => void): void {
    const part = bytes.subarray(0, LARGEST_MESSAGE);
    socket.send(Buffer.concat([Buffer.from([Channel.stdin]), part]), (error) => {
      if (error instanceof Error || part.length === bytes.length) done(error);
      else sendAll(bytes.subarray(part.length), done);
    });
  }
  socket.on("message", (message: Buffer) => {
    const rest = message.subarray(1);
    if (message[0] === Channel.stdout && rest.length > 0 && !stream.push(rest)) socket.pause();
    else if (message[0] === Channel.stderr && said.length < LONGEST_COMPLAINT) said += rest.toString("utf8");
    else if (message[0] === Channel.status) ended.resolve(explained(rest, said));
  });
  socket.on("close", () => {
    ended.resolve(said.trim() || "the connection to its pod was closed");
    stream.push(null);
    stream.destroy();
  });
  stream.on("error", () => undefined); // `ended` says why
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", (error) => reject(api.unreachable(error)));
    socket.once("unexpected-response", (_request, response) => {
      response.resume();
      reject(refusal(response.statusCode ?? 500, undefined, response.statusMessage ?? "", `exec in ${pod}`));
      socket.terminate();
    });
  });
  socket.on("error", () => undefined); // its close follows
  if (!PROTOCOLS.includes(socket.protocol)) {
    stream.destroy();
    throw new GuildError("unsupported", `the Kubernetes API server does not speak ${PROTOCOLS.join(" or ")} over WebSockets`, {
      subject: api.server.origin,
      remedy: "use Kubernetes 1.30 or newer",
    });
  }
  return { stream, ended: ended.promise };
}

/** What a `Status` says of a command's end. */
function explained(status: Buffer, said: string): string {
  const complaint = said.trim().split("\n").slice(-3).join("; ");
  try {
    const { status: outcome, message } = JSON.parse(status.toString("utf8")) as { status?: string; message?: string };
    if (outcome === "Success") return complaint || "its way in has ended";
    return complaint || message || "its way in has failed";
  } catch {
    return complaint || "its way in has failed"; // a status in no form that we know
  }
}
