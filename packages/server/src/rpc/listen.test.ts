import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { GuildError } from "@guildhall/core";

import { listenOnSocket, listenOnTcp, type ListenOptions, parseAddress, type RequestHandler } from "./listen.ts";
import { readToken, requireToken } from "./token.ts";

function temporary(test: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "guild-listen-"));
  test.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const echo: RequestHandler = (request, response) => {
  response.statusCode = 200;
  response.end(`${request.httpVersion} ${request.url}`);
};

function options(handler: RequestHandler = echo): ListenOptions & { open: number } {
  const counted = {
    handler,
    open: 0,
    connected: () => {
      counted.open++;
      return () => counted.open--;
    },
  };
  return counted;
}

async function getHttp2(authority: string, path: string, connect?: () => net.Socket, headers: http2.OutgoingHttpHeaders = {}) {
  const session = http2.connect(authority, connect === undefined ? {} : { createConnection: connect });
  const stream = session.request({ ":path": path, ...headers });
  const [answer] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  session.close();
  return { status: Number(answer[":status"]), text };
}

async function getHttp1(url: string, headers: http.OutgoingHttpHeaders = {}) {
  const request = http.get(url, { headers, agent: false });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode, text };
}

describe("listenOnSocket", () => {
  it("replaces what is stale, lets only the owner in, and counts connections", async (test) => {
    const path = join(temporary(test), "daemon.sock");
    writeFileSync(path, "stale");
    const counted = options();
    const listener = await listenOnSocket(path, counted);
    test.after(() => listener.close());
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(await getHttp2("http://x", "/a", () => net.connect(path)), { status: 200, text: "2.0 /a" });
    await listener.close();
    assert.equal(counted.open, 0);
    await assert.rejects(once(net.connect(path), "connect"), { code: "ENOENT" });
  });
});

describe("listenOnTcp", () => {
  it("speaks HTTP/1.1 and HTTP/2 on one port, also when the first bytes come one by one", async (test) => {
    const listener = await listenOnTcp({ host: "127.0.0.1", port: 0 }, options());
    test.after(() => listener.close());
    assert.deepEqual(await getHttp1(`${listener.address}/one`), { status: 200, text: "1.1 /one" });
    assert.deepEqual(await getHttp2(listener.address, "/two"), { status: 200, text: "2.0 /two" });
    const socket = net.connect(Number(new URL(listener.address).port), "127.0.0.1");
    socket.setNoDelay(true);
    for (const byte of "GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") {
      socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /1\.1 \/slow$/);
  });

  it("says which address is taken", async (test) => {
    const first = await listenOnTcp({ host: "127.0.0.1", port: 0 }, options());
    test.after(() => first.close());
    const port = Number(new URL(first.address).port);
    await assert.rejects(
      listenOnTcp({ host: "127.0.0.1", port }, options()),
      (error) => GuildError.is(error, "unavailable") && error.line.includes(String(port)),
    );
  });
});

describe("parseAddress", () => {
  it("takes host:port in all its forms", () => {
    assert.deepEqual(parseAddress("127.0.0.1:7400"), { host: "127.0.0.1", port: 7400 });
    assert.deepEqual(parseAddress(":7400"), { host: "127.0.0.1", port: 7400 });
    assert.deepEqual(parseAddress("[::1]:7400"), { host: "::1", port: 7400 });
    for (const wrong of ["7400", "host", "host:x", "host:70000", "::1:80"])
      assert.throws(() => parseAddress(wrong), /is no address/, wrong);
  });
});

describe("requireToken", () => {
  it("demands the token, a Host that no DNS name can fake, and an Origin that is the Host", async (test) => {
    const directory = temporary(test);
    const file = join(directory, "token");
    const listener = await listenOnTcp({ host: "127.0.0.1", port: 0 }, options(requireToken(file, echo)));
    test.after(() => listener.close());
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const authorization = `Bearer ${readToken(file)}`;
    const { host } = new URL(listener.address);
    const status = async (headers: http.OutgoingHttpHeaders) => (await getHttp1(`${listener.address}/`, headers)).status;
    assert.equal(await status({ authorization }), 200);
    assert.equal(await status({ authorization, origin: `http://${host}` }), 200);
    assert.equal(await status({}), 401);
    assert.equal(await status({ authorization: "Bearer wrong" }), 401);
    assert.equal(await status({ authorization, host: "rebound.example:80" }), 403);
    assert.equal(await status({ authorization, origin: "http://evil.example" }), 403);
    assert.equal((await getHttp2(listener.address, "/", undefined, { authorization })).status, 200);
    assert.equal((await getHttp2(listener.address, "/")).status, 401);
  });

  it("refuses a token that others can read", (test) => {
    const file = join(temporary(test), "token");
    writeFileSync(file, "secret\n", { mode: 0o644 });
    assert.throws(
      () => readToken(file),
      (error) => GuildError.is(error, "permission_denied"),
    );
  });
});
