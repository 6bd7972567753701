import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import http from "node:http";
import type net from "node:net";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";

import type { ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { resolvePaths } from "@guildhall/core/paths";
import { SessionService, SystemService } from "@guildhall/protocol";

import { Home, jsonLines } from "./guild.ts";

/** A daemon of another version, as far as a client can see. */
async function otherDaemon(test: TestContext, home: Home, info: { protocolMin: number; protocolMax: number; runningSessions: number }) {
  const { socket } = resolvePaths({ env: home.env, home: home.directory, uid: process.getuid?.() ?? 0, tmp: tmpdir() });
  mkdirSync(dirname(socket), { recursive: true, mode: 0o700 });
  const seen = { shutdowns: 0 };
  const sockets = new Set<net.Socket>();
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  const system: Partial<ServiceImpl<typeof SystemService>> = {
    getInfo: () => ({ version: "0.0.9+old", ...info }),
    shutdown: () => {
      seen.shutdowns++;
      setTimeout(close, 50);
      return {};
    },
  };
  const server = http.createServer(
    connectNodeAdapter({
      routes: (router) => router.service(SystemService, system).service(SessionService, { listSessions: () => ({ sessions: [] }) }),
    }),
  );
  server.on("connection", (socket: net.Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  test.after(close);
  return seen;
}

describe("a client that finds a daemon of another version", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  it("uses a busy one that speaks its protocol, and says so", async (test) => {
    await otherDaemon(test, home, { protocolMin: 1, protocolMax: 2, runningSessions: 3 });
    const { code, stderr } = await home.guild(["session", "list"]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^guild: the running daemon is version 0\.0\.9\+old.* 3 session\(s\) run.*\n$/);
  });

  it("refuses a busy one that does not, in one line with the remedy", async (test) => {
    const seen = await otherDaemon(test, home, { protocolMin: 7, protocolMax: 8, runningSessions: 1 });
    const { code, stderr } = await home.guild(["session", "list"]);
    assert.equal(code, 1);
    assert.match(stderr, /^guild: .*0\.0\.9\+old.*guild down\n$/);
    assert.equal(seen.shutdowns, 0);
  });

  it("replaces an idle one", async (test) => {
    const seen = await otherDaemon(test, home, { protocolMin: 7, protocolMax: 8, runningSessions: 0 });
    const { code, stdout, stderr } = await home.guild(["up", "--json"]);
    assert.equal(code, 0, stderr);
    assert.equal(seen.shutdowns, 1);
    assert.notEqual(jsonLines(stdout)[0]?.["version"], "0.0.9+old");
  });
});
