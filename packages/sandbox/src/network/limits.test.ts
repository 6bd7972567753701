import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, it, type TestContext } from "node:test";

import { createSessionAuthority } from "./certificates.ts";
import type { TrafficLimits } from "./meter.ts";
import { type NetworkDecision, startNetworkProxy } from "./proxy.ts";

interface Asked {
  get(path: string, method?: string): Promise<{ status: number; body: string }>;
  decisions: NetworkDecision[];
  /** Answers that `/wait` has not been given yet. */
  waiting: ServerResponse[];
}

async function start(test: TestContext, limits: Partial<TrafficLimits>): Promise<Asked> {
  const folder = await mkdtemp(join(tmpdir(), "guild-limits-"));
  const waiting: ServerResponse[] = [];
  const upstream = createServer((message, response) => {
    message.resume();
    if (message.url === "/wait" || message.url === "/never") waiting.push(response);
    else if (message.url === "/large") response.end(Buffer.alloc(200_000));
    else if (message.url === "/half") response.writeHead(200, { "content-length": "10" }).write("half");
    else response.end("hello");
  });
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  const { port } = upstream.address() as AddressInfo;
  const decisions: NetworkDecision[] = [];
  const socketPath = join(folder, "proxy");
  const proxy = await startNetworkProxy({
    listen: socketPath,
    authority: await createSessionAuthority("session", new Date()),
    layers: () => [[{ id: "r", host: "plain.example.com", plain: true }]],
    resolve: async () => ["93.184.216.34"],
    report: (decision) => void decisions.push(decision),
    limits,
    testing: { dial: () => ({ host: "127.0.0.1", port }) },
  });
  test.after(async () => {
    await proxy.close();
    upstream.close();
    upstream.closeAllConnections();
    await rm(folder, { recursive: true });
  });
  return {
    decisions,
    waiting,
    async get(path, method = "GET") {
      const asked = request({
        socketPath,
        method,
        path: `http://plain.example.com${path}`,
        headers: { host: "plain.example.com" },
        agent: false,
      });
      asked.end();
      const [answer] = await once(asked, "response");
      const body = await text(answer).catch((error: unknown) => `cut off: ${String(error)}`);
      return { status: Number(answer.statusCode), body };
    },
  };
}

describe("the limits of the network", () => {
  it("hold the rate, tell why, and report each refusal", async (test) => {
    const { get, decisions } = await start(test, { requestsPerMinute: 3 });
    const statuses = [];
    for (let count = 0; count < 5; count += 1) statuses.push((await get("/")).status);
    assert.deepEqual(statuses, [200, 200, 200, 403, 403]);
    assert.match((await get("/")).body, /^guildhall: .*minute/);
    assert.deepEqual(
      decisions.map(({ allowed }) => allowed),
      [true, true, true, false, false, false],
    );
  });

  it("hold how many there are at once, and give places back", async (test) => {
    const { get, waiting } = await start(test, { concurrent: 2 });
    const first = get("/wait");
    const second = get("/wait");
    while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve));
    const third = await get("/");
    assert.equal(third.status, 403);
    assert.match(third.body, /at once|concurrent|same time/);
    for (const response of waiting) response.end("late");
    assert.deepEqual([(await first).body, (await second).body], ["late", "late"]);
    assert.equal((await get("/")).status, 200);
  });

  it("hold the volume, cutting off what goes over it", async (test) => {
    const { get } = await start(test, { bytes: 300_000 });
    assert.equal((await get("/large")).body.length, 200_000);
    assert.match((await get("/large")).body, /cut off/);
    assert.equal((await get("/")).status, 403);
  });

  it("give up a target that never answers, or stops half way, and go on", async (test) => {
    const { get } = await start(test, { idleMs: 300 });
    const never = await get("/never");
    assert.equal(never.status, 502);
    assert.match(never.body, /^guildhall: .*plain\.example\.com has sent nothing for 0\.3 s/);
    assert.match((await get("/half")).body, /cut off/);
    assert.equal((await get("/")).body, "hello");
  });
});
