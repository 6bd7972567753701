import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import { GuildError, type Tool } from "@guildhall/core";
import { FakeToolSession, processSandbox } from "@guildhall/core/testing";
import { Risk } from "@guildhall/protocol";

import { McpConnection } from "./connection.ts";
import { ElicitationDesk } from "./elicitation.ts";
import { mcpTools } from "./mcp-tools.ts";
import { SandboxTransport } from "./sandbox-transport.ts";

const program = join(import.meta.dirname, "../testing/mcp-server.mjs");
const open: McpConnection[] = [];
after(() => Promise.all(open.map((one) => one.close())));

interface Bench {
  connection: McpConnection;
  changes: { count: number; next(): Promise<void> };
  tools(): Tool[];
  call(
    name: string,
    args?: object,
    options?: { signal?: AbortSignal; progress?(text: string): void },
  ): Promise<{ status: string; output: string; data?: unknown }>;
  desk: ElicitationDesk;
}

function bench(manner: string, timeoutMs = 20_000, patience: { timeoutMs?: number } = {}, pipe = true): Bench {
  const desk = new ElicitationDesk();
  const session = new FakeToolSession();
  let wake = Promise.withResolvers<void>();
  const changes = { count: 0, next: () => wake.promise };
  const connection = new McpConnection({
    name: "test",
    get timeoutMs() {
      return patience.timeoutMs ?? timeoutMs;
    },
    workspace: "/work space",
    version: "0",
    link: {
      pipe,
      open: async () => {
        const transport = new SandboxTransport({
          sandbox: processSandbox().sandbox,
          argv: [process.execPath, program, manner],
          env: { SAID: "hello" },
        });
        return { transport, fault: () => transport.fault };
      },
    },
    elicit: desk.elicit,
    changed: () => {
      changes.count += 1;
      wake.resolve();
      wake = Promise.withResolvers();
    },
  });
  open.push(connection);
  const tools = (): Tool[] => mcpTools(connection.tools, { connection, desk, remote: false }).tools;
  return {
    connection,
    changes,
    desk,
    tools,
    async call(name, args = {}, options = {}) {
      const tool = tools().find((one) => one.name === `mcp__test__${name}`);
      assert.ok(tool !== undefined, name);
      return await tool.execute(tool.schema.parse(args), session.context(options));
    },
  };
}

describe("an MCP server in a sandbox", () => {
  const good = bench("good");

  it("gives its tools, prefixed, with schemas that are held to", async () => {
    await good.connection.connect();
    const add = good.tools()[0];
    assert.equal(add?.name, "mcp__test__add");
    assert.equal(add.source, "mcp:test");
    assert.equal(add.schema.safeParse({ a: 1 }).success, false);
    assert.equal(add.risk({ a: 1, b: 2 }), Risk.MEDIUM, "its own word that it only reads lowers nothing");
    assert.deepEqual(await good.call("add", { a: 2, b: 3 }), { status: "ok", output: "5" });
  });

  it("is told the workspace, and has the environment that is written for it", async () => {
    const { output } = await good.call("where");
    const told = JSON.parse(output) as { env: string; roots: unknown };
    assert.equal(told.env, "hello");
    assert.deepEqual(told.roots, { roots: [{ uri: "file:///work%20space", name: "workspace" }] });
  });

  it("reports progress, and keeps pictures out of the text", async () => {
    const said: string[] = [];
    assert.equal((await good.call("slow", {}, { progress: (text) => said.push(text) })).output, "done");
    assert.deepEqual(said, ["1 of 2: at it\n", "2 of 2: at it\n"]);
    assert.match((await good.call("picture")).output, /^\[image\/png, 8 bytes: output:sha256:[0-9a-f]{64}\]$/);
  });

  it("may change its tools while it runs", async () => {
    const next = good.changes.next();
    await good.call("grow");
    await next;
    assert.ok(good.tools().some((tool) => tool.name === "mcp__test__grown"));
  });

  it("asks the person through the agent: cancelled first, answered the second time, with the defaults of its schema", async () => {
    const first = await good.call("ask");
    assert.match(
      first.output,
      /"action":"cancel"[^]*test asks the person: Which colour\?\n- colour \(string\)\n- shade \(string, optional\)[^]*mcp_answer/,
    );
    assert.ok(good.desk.answer("test", { action: "accept", content: { colour: "red" } }));
    assert.deepEqual(JSON.parse((await good.call("ask")).output), { action: "accept", content: { colour: "red", shade: "dark" } });
    assert.equal(good.desk.answer("test", { action: "accept" }), false, "an answer serves once");
    assert.match((await good.call("ask")).output, /asks the person/);
    assert.doesNotMatch((await good.call("add", { a: 1, b: 1 })).output, /asks the person/, "a question is told once");
    const schema = { type: "object" as const, properties: {} };
    assert.ok(good.desk.answer("test", { action: "accept", content: { colour: "red" } }));
    const other = await good.desk.elicit({ server: "test", message: "May I delete it?", schema });
    assert.deepEqual(other, { action: "cancel" }, "what was said to one question answers no other");
  });

  it("says when a structured result breaks its own schema", async () => {
    assert.match((await good.call("typed")).output, /does not fit the schema of results/);
  });

  it("bounds a result; the whole is kept", async () => {
    const { output } = await good.call("huge");
    assert.ok(output.length < 17_000);
    assert.match(output, /984,000 characters left out; the whole: edit, view, output:sha256:/);
  });

  it("stops a call that is cancelled", async () => {
    const stop = new AbortController();
    const call = good.call("never", {}, { signal: stop.signal });
    stop.abort(new GuildError("cancelled", "enough"));
    await assert.rejects(call, { message: "enough" });
    assert.equal((await good.call("add", { a: 1, b: 1 })).output, "2", "the server goes on");
  });

  it("is started again after it died, and its last words are told", async () => {
    const died = await good.call("die");
    assert.equal(died.status, "error");
    assert.match(died.output, /MCP server test: it ended \(exit code 7\); its last words: out of luck/);
    assert.equal((await good.call("add", { a: 1, b: 2 })).output, "3");
  });

  it("is ended when a result has no end, whatever its size", async () => {
    const { status, output } = await good.call("gigabyte");
    assert.equal(status, "error");
    assert.match(output, /MCP server test: it wrote a message of more than 16777216 bytes/);
    assert.equal((await good.call("add", { a: 1, b: 2 })).output, "3");
  });

  it("is ended when it answers nothing any more, and started again for the next call; one that is only slow goes on", async () => {
    const patience: { timeoutMs?: number } = {};
    const { call, connection } = bench("good", 60_000, patience);
    await connection.connect();
    await call("grow");
    patience.timeoutMs = 500;
    assert.match((await call("never")).output, /did not answer within 0.5 s/);
    delete patience.timeoutMs;
    assert.ok(connection.tools.some(({ name }) => name === "grown"));
    await call("add", { a: 1, b: 1 });
    assert.ok(
      connection.tools.some(({ name }) => name === "grown"),
      "it is the same one still",
    );
    patience.timeoutMs = 500;
    assert.match((await call("stuck")).output, /did not answer within 0.5 s/);
    delete patience.timeoutMs;
    assert.equal((await call("add", { a: 1, b: 2 })).output, "3");
    assert.ok(!connection.tools.some(({ name }) => name === "grown"), "it is another one");
  });

  it("is ended when it floods", async () => {
    assert.match((await good.call("flood")).output, /MCP server test: it floods us with messages/);
    assert.equal((await good.call("add", { a: 1, b: 2 })).output, "3");
  });
});

describe("an MCP server that is no good", () => {
  it("gives up on one that dies at once, after three times for good", async () => {
    const { connection } = bench("dies");
    await assert.rejects(connection.connect(), /MCP server test: it ended \(exit code 3\); its last words: no database to connect to/);
    for (let n = 0; n < 2; n += 1) await assert.rejects(connection.connect());
    await assert.rejects(connection.connect(), /failed 3 times in a row and is left alone/);
  });

  it("does not wait for one that hangs", async () => {
    await assert.rejects(bench("hangs", 300).connection.connect(), /did not answer within 0.3 s/);
  });

  if (process.env["GUILD_TEST_FULL"] !== undefined) {
    it("waits as long as it may for one at an address, which may have to wake up first", async () => {
      const { connection } = bench("wakes", 60_000, {}, false);
      await connection.connect();
      assert.ok(connection.tools.length > 0);
    });
  }

  it("ends one that writes what is no message", async () => {
    await assert.rejects(bench("garbage").connection.connect(), /no message of the protocol: Welcome to my server!/);
  });

  it("takes of one that lies about its schemas what can be taken", async () => {
    const { connection, desk } = bench("lies");
    await connection.connect();
    const { tools } = mcpTools(connection.tools, { connection, desk, remote: true });
    assert.deepEqual(connection.refused, ["no schema", "list", "(no name)"]);
    assert.equal(tools.length, 15);
    const last = tools.at(-1);
    assert.equal(last?.name, "mcp__test__ill_named_tool___x");
    assert.equal(last.description.length, 2_000);
    assert.ok(last.schema.safeParse({ p: `${"a".repeat(50)}!` }).success, "its expressions are left to the server");
  });

  it("is not found where there is no such program", async () => {
    const connection = new McpConnection({
      name: "none",
      timeoutMs: 1_000,
      version: "0",
      link: { pipe: true, open: () => Promise.reject(new GuildError("not_found", "no such program: nope")) },
    });
    await assert.rejects(connection.connect(), /MCP server none: no such program: nope/);
  });
});
