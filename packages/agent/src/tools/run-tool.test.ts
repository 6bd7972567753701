import assert from "node:assert/strict";
import { test } from "node:test";

import { GuildError, type Masker, type ToolResult } from "@guildhall/core";
import { FakeToolSession } from "@guildhall/core/testing";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "./define-tool.ts";
import { finishTool } from "./finish.ts";
import { runTool } from "./run-tool.ts";
import { tasksOf, taskTrackerTool } from "./task-tracker.ts";
import { thinkTool } from "./think.ts";
import { ToolSet } from "./tool-registry.ts";

const say = defineTool({
  name: "say",
  description: "",
  schema: z.strictObject({ text: z.string(), fail: z.boolean().optional() }),
  risk: () => Risk.LOW,
  resources: () => [],
  async execute({ text, fail }, { signal }) {
    signal.throwIfAborted();
    if (fail === true) throw new GuildError("internal", `broke on ${text}`);
    return { status: "ok", output: text, data: { said: [text] } };
  },
});
const masker: Masker = {
  add: () => undefined,
  mask: (text) => text.replaceAll("hunter2", "***"),
  stream: () => ({ push: (text) => text, end: () => "" }),
};
const registry = new ToolSet([say, thinkTool, finishTool, taskTrackerTool]);

function run(tool: string, args: unknown, session = new FakeToolSession({ masker }), signal?: AbortSignal): Promise<ToolResult> {
  return runTool(
    registry,
    { callId: "call_1", tool, arguments: typeof args === "string" ? args : JSON.stringify(args) },
    session.context(signal === undefined ? {} : { signal }),
  );
}

test("output and data are masked and bounded", async () => {
  const short = await run("say", { text: "it is hunter2" });
  assert.deepEqual(short, { status: "ok", output: "it is ***", data: { said: ["it is ***"] } });
  const long = await run("say", { text: `begin${"x".repeat(100_000)}end` });
  assert.ok(long.output.length < 30_200);
  assert.match(long.output, /^begin[^]*characters left out[^]*end$/);
});

test("a tool that throws becomes an error observation", async () => {
  const result = await run("say", { text: "hunter2", fail: true });
  assert.deepEqual([result.status, result.output], ["error", "say failed: broke on ***"]);
});

test("an aborted call rejects as cancelled", async () => {
  await assert.rejects(run("say", { text: "x" }, new FakeToolSession(), AbortSignal.abort()), (error) => GuildError.is(error, "cancelled"));
});

test("an unknown tool is told with the likely one", async () => {
  const result = await run("finsh", {});
  assert.equal(result.status, "error");
  assert.match(result.output, /Did you mean finish\?/);
});

test("finish ends the turn", async () => {
  assert.deepEqual((await run("finish", { summary: "all green" })).finish, { done: true, summary: "all green" });
  assert.deepEqual((await run("finish", { summary: "no", done: false })).finish, { done: false, summary: "no" });
});

test("the task list lives in results", async () => {
  const session = new FakeToolSession();
  const tasks = [
    { title: "one", status: "done" },
    { title: "two", status: "todo", notes: "later" },
  ];
  const planned = await run("task_tracker", { command: "plan", tasks }, session);
  const viewed = await run("task_tracker", { command: "view" }, session);
  assert.equal(planned.output, viewed.output);
  assert.deepEqual(tasksOf(JSON.stringify(viewed.data)), tasks);
  assert.equal(tasksOf("no json"), undefined);
  assert.equal((await run("task_tracker", { command: "plan" }, session)).status, "error");
});

test("a name can be taken once and given back", () => {
  const set = new ToolSet([say]);
  assert.throws(
    () => set.add(say),
    (error) => GuildError.is(error, "already_exists"),
  );
  assert.throws(
    () => set.add({ ...say, name: "with space" }),
    (error) => GuildError.is(error, "invalid_argument"),
  );
  assert.equal(set.remove("say"), true);
  assert.deepEqual(set.list(), []);
});
