/**
 * The way out of a sandbox: what the broker's proxy adds to a request, and how much it moves. An upstream of our own on loopback, reached through the proxy's
 * testing seam; the proxy is a process of its own, as in the product.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";

import { percentile, table } from "./table.ts";

const CALLS = 300;
const MEGABYTES = 256;

const folder = mkdtempSync(join(tmpdir(), "guild-bench-network-"));
const socketPath = join(folder, "proxy");
const child = fork(join(import.meta.dirname, "network-proxy.ts"), [socketPath]);
const { port, world, session } = await ready(child);

const direct = (): Promise<TLSSocket> => secured(connectTls({ port, host: "127.0.0.1", servername: "api.example.com", ca: world }));
const proxied = async (): Promise<TLSSocket> => {
  const socket = connect(socketPath);
  socket.write("CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com:443\r\n\r\n");
  await once(socket, "data");
  return secured(connectTls({ socket, servername: "api.example.com", ca: session }));
};

const [plainKept, keptNow] = [await kept(direct), await kept(proxied)];
const [plainFresh, freshNow] = [await fresh(direct), await fresh(proxied)];
const [plainRate, rateNow] = [await rate(direct), await rate(proxied)];
process.stdout.write(
  table("Way out of a sandbox", [
    { name: "request on a kept connection, direct, p50", value: percentile(plainKept, 50), unit: "ms" },
    { name: "the same through the proxy, p50", value: percentile(keptNow, 50), unit: "ms" },
    { name: "the same through the proxy, p95", value: percentile(keptNow, 95), unit: "ms" },
    { name: "first request of a connection, direct, p50", value: percentile(plainFresh, 50), unit: "ms" },
    { name: "the same through the proxy, p50", value: percentile(freshNow, 50), unit: "ms" },
    { name: "download, direct", value: plainRate, unit: "MB/s" },
    { name: "download through the proxy", value: rateNow, unit: "MB/s" },
  ]),
);
child.kill();
rmSync(folder, { recursive: true });

/** Times of single requests on one connection, milliseconds. */
async function kept(open: () => Promise<TLSSocket>): Promise<number[]> {
  const socket = await open();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  Object.assign(agent, { createConnection: () => socket });
  const times: number[] = [];
  for (let index = 0; index < CALLS; index += 1) {
    const began = performance.now();
    await exchange(socket, "/", agent);
    if (index >= 20) times.push(performance.now() - began);
  }
  agent.destroy();
  socket.destroy();
  return times;
}

/** Times from nothing to the end of the first answer. */
async function fresh(open: () => Promise<TLSSocket>): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < 60; index += 1) {
    const began = performance.now();
    const socket = await open();
    await exchange(socket, "/");
    if (index >= 10) times.push(performance.now() - began);
    socket.destroy();
  }
  return times;
}

async function rate(open: () => Promise<TLSSocket>): Promise<number> {
  const socket = await open();
  const began = performance.now();
  const bytes = await exchange(socket, `/bytes/${MEGABYTES}`);
  const seconds = (performance.now() - began) / 1000;
  socket.destroy();
  return bytes / 1e6 / seconds;
}

async function exchange(socket: TLSSocket, path: string, agent?: Agent): Promise<number> {
  const own = agent === undefined ? { createConnection: () => socket } : { agent };
  const outgoing = request({ path, headers: { host: "api.example.com" }, ...own });
  outgoing.end();
  const [answer] = (await once(outgoing, "response")) as [AsyncIterable<Uint8Array>];
  let bytes = 0;
  for await (const chunk of answer) bytes += chunk.length;
  return bytes;
}

async function secured(socket: TLSSocket): Promise<TLSSocket> {
  await once(socket, "secureConnect");
  return socket;
}

async function ready(process: ChildProcess): Promise<{ port: number; world: string; session: string }> {
  const [message] = (await once(process, "message")) as [{ port: number; world: string; session: string }];
  return message;
}
