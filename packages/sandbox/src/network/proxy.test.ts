import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request, type IncomingMessage } from "node:http";
import { createServer } from "node:https";
import { connect as connectSocket, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import { callbackify } from "node:util";

import type { NetworkRule } from "@guildhall/core";

import { createSessionAuthority, type SessionAuthority } from "./certificates.ts";
import { startNetworkProxy, type NetworkDecision, type NetworkProxy } from "./proxy.ts";

const PUBLIC = "93.184.216.34";

describe("the network proxy", () => {
  let folder = "";
  let authority: SessionAuthority;
  let far: SessionAuthority;
  let proxy: NetworkProxy;
  let socketPath = "";
  let upstream: ReturnType<typeof createServer>;
  let seen: Array<{ method: string; url: string; headers: IncomingMessage["headers"]; body: string }> = [];
  let decisions: NetworkDecision[] = [];
  let rules: NetworkRule[] = [];
  const names = new Map<string, string[]>();
  let dialled: string[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "guild-proxy-"));
    socketPath = join(folder, "proxy.sock");
    authority = await createSessionAuthority("session", new Date());
    far = await createSessionAuthority("the world", new Date());
    upstream = createServer({ SNICallback: (name, done) => callbackify(() => far.contextFor(name))(done) }, (message, response) => {
      const chunks: Buffer[] = [];
      message.on("data", (chunk: Buffer) => chunks.push(chunk));
      message.on("end", () => {
        seen.push({
          method: message.method ?? "",
          url: message.url ?? "",
          headers: message.headers,
          body: Buffer.concat(chunks).toString(),
        });
        if (message.url === "/echo") {
          response.setHeader("x-echo", message.headers.authorization ?? "");
          response.write(`you sent ${(message.headers.authorization ?? "").slice(0, 12)}`);
          setImmediate(() => response.end((message.headers.authorization ?? "").slice(12)));
        } else if (message.url === "/large") response.end(Buffer.alloc(3_000_000));
        else response.end(`hello from ${message.headers.host}`);
      });
    });
    upstream.listen(0, "127.0.0.1");
    await once(upstream, "listening");
    const { port } = upstream.address() as AddressInfo;
    proxy = await startNetworkProxy({
      listen: socketPath,
      authority,
      layers: () => [rules],
      resolve: async (host) => names.get(host) ?? Promise.reject(new Error("NXDOMAIN")),
      secrets: { grants: () => [{ secret: "token", placeholder: "placeholder-1", host: "api.example.com" }], value: () => "real-value" },
      report: (decision) => decisions.push(decision),
      limits: { bytes: 10_000_000 },
      testing: {
        dial: (address) => {
          dialled.push(address);
          return { host: "127.0.0.1", port };
        },
        ca: far.certificate,
      },
    });
  });

  after(async () => {
    await proxy.close();
    upstream.close();
    upstream.closeAllConnections();
    await rm(folder, { recursive: true });
  });

  /** A fresh world for each case. */
  function given(allowed: NetworkRule[], resolved: Record<string, string[]> = { "example.com": [PUBLIC] }): void {
    rules = allowed;
    names.clear();
    for (const [name, addresses] of Object.entries(resolved)) names.set(name, addresses);
    [seen, decisions, dialled] = [[], [], []];
  }

  async function tunnel(target: string): Promise<{ status: number; socket: Socket }> {
    const socket = connectSocket(socketPath);
    socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`);
    const [head] = (await once(socket, "data")) as [Buffer];
    return { status: Number(head.toString().split(" ")[1]), socket };
  }

  /** A request through a tunnel, as a well-behaved client makes it, unless told to say other names. */
  async function get(
    url: string,
    options: { method?: string; path?: string; headers?: Record<string, string>; sni?: string; body?: string } = {},
  ): Promise<{ status: number; body: string }> {
    const { hostname, pathname, search } = new URL(url);
    const { status, socket } = await tunnel(`${hostname}:443`);
    if (status !== 200) {
      socket.destroy();
      return { status, body: "" };
    }
    const secure = connectTls({ socket, servername: options.sni ?? hostname, ca: authority.certificate });
    try {
      // A handshake that the proxy ends may come as an error or as a mere end.
      secure.on("error", () => undefined);
      await Promise.race([once(secure, "secureConnect"), once(secure, "close").then(() => assert.fail("closed"))]);
      const path = options.path ?? pathname + search;
      const outgoing = request({
        createConnection: () => secure,
        method: options.method ?? "GET",
        path,
        headers: { host: hostname, ...options.headers },
      });
      outgoing.end(options.body);
      const [response] = (await once(outgoing, "response")) as [IncomingMessage];
      return { status: response.statusCode ?? 0, body: await text(response) };
    } finally {
      secure.destroy();
    }
  }

  it("lets through what a rule allows, to the pinned address, and reports it", async () => {
    given([{ id: "r", host: "example.com" }]);
    assert.deepEqual(await get("https://example.com/a?b=c"), { status: 200, body: "hello from example.com" });
    assert.deepEqual(dialled, [PUBLIC]);
    assert.equal(seen[0]?.url, "/a?b=c");
    assert.deepEqual(decisions, [
      { allowed: true, rule: "r", reason: "allowed by r", host: "example.com", port: 443, method: "GET", path: "/a", secrets: [] },
    ]);
  });

  it("refuses everything else, before anything is resolved or dialled", async () => {
    given([{ id: "r", host: "example.com" }], { "other.com": [PUBLIC] });
    assert.equal((await get("https://other.com/")).status, 403);
    assert.deepEqual(dialled, []);
    assert.equal(decisions[0]?.reason, "no rule allows other.com:443");
  });

  it("judges method and path inside TLS, however the path is written", async () => {
    given([{ id: "r", host: "example.com", methods: ["GET"], paths: ["/pub/*"] }]);
    assert.equal((await get("https://example.com/pub/x")).status, 200);
    assert.equal((await get("https://example.com/pub/x", { method: "POST", body: "data" })).status, 403);
    for (const path of [
      "/secret",
      "/pub/../secret",
      "/pub/%2e%2e/secret",
      "/pub/..%2fsecret",
      "/pub/..%5csecret",
      "//example.com/pub/x",
      "https://example.com/secret",
    ]) {
      assert.equal((await get("https://example.com/", { path })).status, 403, path);
    }
    assert.equal(seen.length, 1);
  });

  it("refuses a tunnel to a bare address in every notation", async () => {
    given([{ id: "all", host: "*.com" }]);
    const targets = [
      "127.0.0.1",
      "2130706433",
      "0x7f.1",
      "0177.0.0.1",
      "127.1",
      "[::1]",
      "[::ffff:127.0.0.1]",
      "169.254.169.254",
      "[::ffff:a9fe:a9fe]",
      "0",
      PUBLIC,
    ];
    for (const target of targets) {
      const { status, socket } = await tunnel(`${target}:443`);
      socket.destroy();
      assert.equal(status, 403, target);
    }
  });

  it("refuses names that lead, also beside a public address, to where they must not", async () => {
    const places = [
      "127.0.0.1",
      "10.1.2.3",
      "172.16.0.1",
      "192.168.0.1",
      "169.254.169.254",
      "100.64.0.1",
      "0.0.0.0",
      "224.0.0.1",
      "::1",
      "fe80::1",
      "fd00::1",
      "::ffff:10.0.0.1",
      "64:ff9b::a00:1",
      "2002:a00:1::",
    ];
    for (const address of places) {
      given([{ id: "r", host: "example.com" }], { "example.com": [PUBLIC, address] });
      const { status, body } = await get("https://example.com/");
      assert.equal(status, 403, address);
      assert.match(body, /leads to a /);
      assert.deepEqual(dialled, [], address);
    }
  });

  it("asks anew for each request, so that a name that was rebound is refused", async () => {
    given([{ id: "r", host: "example.com" }]);
    assert.equal((await get("https://example.com/")).status, 200);
    names.set("example.com", ["127.0.0.1"]);
    assert.equal((await get("https://example.com/")).status, 403);
  });

  it("refuses domain fronting: another name in TLS or in the request", async () => {
    given([{ id: "all", host: "*.example.com" }], { "front.example.com": [PUBLIC], "back.example.com": [PUBLIC] });
    await assert.rejects(get("https://front.example.com/", { sni: "back.example.com" }));
    assert.equal(decisions[0]?.allowed, false);
    assert.equal((await get("https://front.example.com/", { headers: { host: "back.example.com" } })).status, 403);
    assert.equal(seen.length, 0);
  });

  it("puts a secret in outside, and lets its placeholder go nowhere else", async () => {
    given([{ id: "r", host: "*.example.com" }], { "api.example.com": [PUBLIC], "other.example.com": [PUBLIC] });
    const headers = { authorization: "Bearer placeholder-1" };
    await get("https://api.example.com/", { headers });
    assert.equal(seen[0]?.headers.authorization, "Bearer real-value");
    const { status, body } = await get("https://other.example.com/", { headers });
    assert.equal(status, 403);
    assert.match(body, /token is not granted/);
    assert.equal(seen.length, 1);
    assert.deepEqual(
      decisions.map(({ secrets }) => secrets),
      [["token"], []],
    );
  });

  it("does not pass a secret on that a server echoes, however it is cut", async () => {
    given([{ id: "r", host: "*.example.com" }], { "api.example.com": [PUBLIC] });
    const { body } = await get("https://api.example.com/echo", { headers: { authorization: "Bearer placeholder-1" } });
    assert.equal(seen[0]?.headers.authorization, "Bearer real-value");
    assert.equal(body, "you sent Bearer ***");
  });

  it("passes bodies both ways and drops hop-by-hop headers", async () => {
    given([{ id: "r", host: "example.com" }]);
    await get("https://example.com/", {
      method: "POST",
      body: "payload",
      headers: { connection: "x-private", "x-private": "1", "proxy-authorization": "secret" },
    });
    assert.equal(seen[0]?.body, "payload");
    assert.equal(seen[0]?.headers["x-private"], undefined);
    assert.equal(seen[0]?.headers["proxy-authorization"], undefined);
  });

  it("gives nothing but HTTP over TLS through a tunnel", async () => {
    given([{ id: "r", host: "example.com" }]);
    const { status, socket } = await tunnel("example.com:443");
    assert.equal(status, 200);
    socket.write("SSH-2.0-client\r\n");
    await once(socket.resume(), "close");
    assert.deepEqual(dialled, []);
  });

  it("refuses plain HTTP where TLS is asked for, and refusals win", async () => {
    given([
      { id: "r", host: "example.com" },
      { id: "no", host: "example.com", paths: ["/private*"], refuse: true },
    ]);
    const outgoing = request({ socketPath, path: "http://example.com/x", headers: { host: "example.com" } });
    outgoing.end();
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    assert.equal(response.statusCode, 403);
    assert.match(await text(response), /TLS only/);
    assert.equal((await get("https://example.com/private/x")).status, 403);
  });

  it("stops at the volume that it was given", async () => {
    given([{ id: "r", host: "example.com" }]);
    const fetchAll = async (): Promise<void> => {
      for (let round = 0; round < 6; round += 1) assert.equal((await get("https://example.com/large")).status, 200);
    };
    await assert.rejects(fetchAll());
  });
});
