import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { after, before, describe, it } from "node:test";

import {
  client,
  type ClientConnection,
  methods,
  ndJsonStream,
  type NewSessionResponse,
  type SessionUpdate,
  type SetSessionConfigOptionResponse,
} from "@agentclientprotocol/sdk";
import { Ajv2020 } from "ajv/dist/2020.js";

import { Home, jsonLines, program, root } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const schema = JSON.parse(
  readFileSync(createRequire(import.meta.url).resolve("@agentclientprotocol/sdk/schema/v1/schema.json"), "utf8"),
) as object;
const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false }).addSchema({ ...schema, $id: "acp" });
/** Every message; and because the protocol lets extensions be anything, those of known methods by the definition of their own. */
const message = ajv.compile({ $ref: "acp" });
const definitions: Record<string, string> = {
  "session/update": "SessionNotification",
  "session/request_permission": "RequestPermissionRequest",
  "session/new": "NewSessionRequest",
  "session/load": "LoadSessionRequest",
  "session/prompt": "PromptRequest",
  "session/cancel": "CancelNotification",
  "session/set_mode": "SetSessionModeRequest",
  "session/set_config_option": "SetSessionConfigOptionRequest",
};
const params = Object.fromEntries(
  Object.entries(definitions).map(([method, name]) => [method, ajv.compile({ $ref: `acp#/$defs/${name}` })]),
);

/** What is wrong with a line on the wire; undefined: nothing. */
function problem(line: string): string | undefined {
  const value = JSON.parse(line) as { method?: string; params?: unknown };
  const own = value.method === undefined ? undefined : params[value.method];
  if (!message(value)) return `${line.slice(0, 300)}: ${JSON.stringify(message.errors?.[0])}`;
  if (own !== undefined && !own(value.params)) return `${line.slice(0, 300)}: ${JSON.stringify(own.errors?.[0])}`;
  return undefined;
}

/** An editor without a window: what it is told and asked, with every line on the wire held against the protocol's schema. */
class Editor {
  readonly updates: SessionUpdate[] = [];
  readonly asked: string[] = [];
  readonly problems: string[] = [];
  readonly connection: ClientConnection;
  readonly #child: ChildProcessWithoutNullStreams;
  #seen = Promise.withResolvers<void>();
  answer: "allow" | "always" | "reject" = "allow";

  constructor(home: Home, args: string[]) {
    this.#child = spawn(process.execPath, [program, "acp", ...args], { env: home.env, cwd: home.directory });
    this.#child.stderr.pipe(process.stderr);
    const output = Writable.toWeb(this.#child.stdin) as WritableStream<Uint8Array>;
    const input = (Readable.toWeb(this.#child.stdout) as unknown as ReadableStream<Uint8Array>).pipeThrough(this.#examined());
    const sent = this.#examined();
    sent.readable.pipeTo(output).catch(() => undefined); // The agent has gone: the test is over.
    this.connection = client({ name: "test" })
      .onNotification(methods.client.session.update, ({ params }) => {
        this.updates.push(params.update);
        this.#seen.resolve();
        this.#seen = Promise.withResolvers();
      })
      .onRequest(methods.client.session.requestPermission, ({ params }) => {
        const { content = [] } = params.toolCall;
        this.asked.push(JSON.stringify(content));
        return { outcome: { outcome: "selected", optionId: this.answer } };
      })
      .connect(ndJsonStream(sent.writable, input));
  }

  /** Resolves when an update fits. */
  async until(fits: (update: SessionUpdate) => boolean): Promise<void> {
    while (!this.updates.some(fits)) await this.#seen.promise;
  }

  /** What the agent has said, in one text. */
  get said(): string {
    return this.updates
      .map((one) => (one.sessionUpdate === "agent_message_chunk" && one.content.type === "text" ? one.content.text : ""))
      .join("");
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    if (this.#child.exitCode === null) await once(this.#child, "close");
  }

  #examined(): TransformStream<Uint8Array, Uint8Array> {
    let rest = "";
    return new TransformStream({
      transform: (bytes, controller) => {
        const lines = (rest + Buffer.from(bytes).toString("utf8")).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          const wrong = line === "" ? undefined : problem(line);
          if (wrong !== undefined) this.problems.push(wrong);
        }
        controller.enqueue(bytes);
      },
    });
  }
}

describe("guild acp", () => {
  let home: Home;
  let workspace = "";
  before(() => {
    home = new Home();
    workspace = home.sample();
  });
  const editors: Editor[] = [];
  after(async () => {
    await Promise.all(editors.map((one) => one.close()));
    await home.remove();
  });

  const editor = async (steps: object[]): Promise<{ one: Editor; sessionId: string }> => {
    const script = home.write(`script-${Math.random()}.json`, JSON.stringify({ description: "For an editor.", steps }));
    const one = new Editor(home, ["--model", `scripted:${script}`]);
    editors.push(one);
    const hello = await one.connection.agent.request(methods.agent.initialize, { protocolVersion: 1, clientCapabilities: {} });
    assert.equal(hello.protocolVersion, 1);
    assert.equal(hello.agentCapabilities?.loadSession, true);
    const { sessionId } = await one.connection.agent.request(methods.agent.session.new, { cwd: workspace, mcpServers: [] });
    return { one, sessionId };
  };
  const prompt = (one: Editor, sessionId: string, text: string) =>
    one.connection.agent.request(methods.agent.session.prompt, { sessionId, prompt: [{ type: "text", text }] });

  it("streams a turn with its calls, diffs and plan, all of it as the schema has it, and loads it again", async () => {
    verifies("H7");
    const { one, sessionId } = await editor([
      {
        say: "I write it down.",
        calls: [{ tool: "task_tracker", args: { command: "plan", tasks: [{ title: "make it", status: "in_progress" }] } }],
      },
      { calls: [{ tool: "edit", args: { command: "create", path: "new.txt", file_text: "one\n" } }] },
      { calls: [{ tool: "edit", args: { command: "str_replace", path: "new.txt", old_str: "one", new_str: "two" } }] },
      { calls: [{ tool: "bash", args: { command: "cat new.txt; false" } }] },
      { calls: [{ tool: "finish", args: { summary: "It says two." } }] },
    ]);
    const answer = await prompt(one, sessionId, "Make it.");
    assert.equal(answer.stopReason, "end_turn");
    assert.match(one.said, /^I write it down\.[^]*It says two\.$/);
    const calls = one.updates.filter((update) => update.sessionUpdate === "tool_call");
    assert.deepEqual(
      calls.map(({ kind }) => kind),
      ["think", "edit", "edit", "execute"],
    );
    const path = join(workspace, "new.txt");
    assert.deepEqual(calls[1]?.content, [{ type: "diff", path, oldText: null, newText: "one\n" }]);
    assert.deepEqual(calls[2]?.content, [{ type: "diff", path, oldText: "one", newText: "two" }]);
    assert.deepEqual(calls[2]?.locations, [{ path }]);
    const ends = one.updates.filter(
      (update) => update.sessionUpdate === "tool_call_update" && ["completed", "failed"].includes(update.status ?? ""),
    );
    assert.deepEqual(
      ends.map((update) => "status" in update && update.status),
      ["completed", "completed", "completed", "failed"],
    );
    assert.ok(one.updates.some((update) => update.sessionUpdate === "plan" && update.entries[0]?.status === "in_progress"));
    assert.equal(readFileSync(path, "utf8"), "two\n");
    await one.close();
    assert.deepEqual(one.problems, []);

    const { one: later } = await editor([]);
    const { sessions } = await later.connection.agent.request(methods.agent.session.list, { cwd: workspace });
    assert.ok(sessions.some((session) => session.sessionId === sessionId && session.cwd === workspace));
    await later.connection.agent.request(methods.agent.session.load, { sessionId, cwd: workspace, mcpServers: [] });
    assert.equal(later.updates[0]?.sessionUpdate, "user_message_chunk");
    assert.equal(later.updates.filter((update) => update.sessionUpdate === "tool_call").length, 4);
    assert.match(later.said, /It says two\.$/);
    await assert.rejects(prompt(later, "ses_none", "x"), /ses_none/);
    await later.close();
    assert.deepEqual(later.problems, []);
  });

  it("asks the editor's person before a risky action, and does what he says", async () => {
    verifies("F10");
    const risky = { tool: "bash", args: { command: "rm -rf .git" } };
    const { one, sessionId } = await editor([
      { calls: [risky] },
      { calls: [{ tool: "bash", args: { command: "rm -rf .guildhall; touch went-on" } }] },
      { calls: [{ tool: "finish", args: { summary: "asked twice" } }] },
    ]);
    one.answer = "reject";
    assert.equal((await prompt(one, sessionId, "Clean up.")).stopReason, "end_turn");
    // The turn waits for each answer, and goes on with it.
    assert.equal(one.asked.length, 2);
    assert.match(one.said, /asked twice$/);
    assert.ok(existsSync(join(workspace, ".git")), "nothing was done");
    assert.match(one.asked[0] ?? "", /rule: allow bash \{.*rm -rf \.git/, "the exact rule is shown");
    await one.close();
    assert.deepEqual(one.problems, []);
  });

  it("is not asked again in this session where its person has said always to the rule shown", async () => {
    verifies("F10");
    const risky = { tool: "bash", args: { command: "git push --force nowhere" } };
    const { one, sessionId } = await editor([
      { calls: [risky] },
      { calls: [risky] },
      { calls: [{ tool: "finish", args: { summary: "twice" } }] },
    ]);
    one.answer = "always";
    assert.equal((await prompt(one, sessionId, "Push.")).stopReason, "end_turn");
    assert.equal(one.asked.length, 1);
    await one.close();
    assert.deepEqual(one.problems, []);
    const rules = jsonLines((await home.guild(["approval", "rules", "list", "--json"])).stdout);
    assert.deepEqual(
      rules.map((rule) => [rule["session"], rule["tool"]]),
      [[sessionId, "bash"]],
    );
  });

  it("stops when it is cancelled, and goes on with the next prompt", async () => {
    const { one, sessionId } = await editor([
      { calls: [{ tool: "bash", args: { command: "echo begun; sleep 300", timeout_s: 400 } }] },
      { calls: [{ tool: "finish", args: { summary: "after all" } }] },
    ]);
    const running = prompt(one, sessionId, "Wait.");
    await one.until((update) => update.sessionUpdate === "tool_call_update" && JSON.stringify(update.content ?? []).includes("begun"));
    await one.connection.agent.notify(methods.agent.session.cancel, { sessionId });
    assert.equal((await running).stopReason, "cancelled");
    assert.equal((await prompt(one, sessionId, "Go on.")).stopReason, "end_turn");
    await one.close();
    assert.deepEqual(one.problems, []);
    const [session] = jsonLines((await home.guild(["session", "show", sessionId, "--json"])).stdout);
    assert.equal(session?.["status"], "done");
  });

  it("lets the editor's person choose the mode and the model, and brings the editor's MCP servers along", async () => {
    verifies("H7", "D5");
    const finish = (summary: string) => ({ calls: [{ tool: "finish", args: { summary } }] });
    const { one } = await editor([]);
    const other = home.write(
      "other.json",
      JSON.stringify({ description: "Another.", steps: [finish("never said"), finish("the other model")] }),
    );
    const first = home.write(
      "first.json",
      JSON.stringify({
        description: "Uses what the editor brought.",
        steps: [
          {
            calls: [
              { tool: "mcp__theirs__add", args: { a: 2, b: 3 } },
              { tool: "bash", args: { command: "rm -rf .guildhall; git push --force" } },
            ],
          },
          finish("the first model"),
        ],
      }),
    );
    const two = new Editor(home, ["--model", `scripted:${first}`]);
    editors.push(two);
    const ask = two.connection.agent;
    const hello = await ask.request(methods.agent.initialize, { protocolVersion: 1, clientCapabilities: {} });
    assert.equal(hello.agentCapabilities?.mcpCapabilities?.http, true);
    const server = join(root, "packages/extensions/src/testing/mcp-server.mjs");
    writeFileSync(join(workspace, "editor-server.mjs"), readFileSync(server));
    const theirs = { name: "theirs", command: "node", args: ["editor-server.mjs"], env: [{ name: "SAID", value: "hello" }] };
    const opened = await ask.request<NewSessionResponse>(methods.agent.session.new, { cwd: workspace, mcpServers: [theirs] });
    const { sessionId } = opened;
    assert.equal(opened.modes?.currentModeId, "ask");
    assert.equal(opened.configOptions?.[0]?.category, "model");
    await ask.request(methods.agent.session.setMode, { sessionId, modeId: "auto" });
    await assert.rejects(ask.request(methods.agent.session.setMode, { sessionId, modeId: "reckless" }), /no such mode/);
    assert.equal((await prompt(two, sessionId, "Go.")).stopReason, "end_turn");
    assert.equal(two.asked.length, 0, "in this mode nothing is asked");
    assert.match(JSON.stringify(two.updates), /mcp__theirs__add[^]*"text":"5/);
    assert.ok(two.updates.some((update) => update.sessionUpdate === "current_mode_update" && update.currentModeId === "auto"));
    const chosen = await ask.request<SetSessionConfigOptionResponse>(methods.agent.session.setConfigOption, {
      sessionId,
      configId: "model",
      value: `scripted:${other}`,
    });
    assert.ok("currentValue" in (chosen.configOptions[0] ?? {}));
    await two.close();
    assert.deepEqual(two.problems, []);
    await one.close();
  });
});
