import assert from "node:assert/strict";
import { test } from "node:test";

import type { ToolResult } from "@guildhall/core";
import { FakeToolSession } from "@guildhall/core/testing";

import { runTool } from "../run-tool.ts";
import { ToolSet } from "../tool-registry.ts";
import { createEditTool } from "./edit.ts";

function setUp() {
  const session = new FakeToolSession();
  const registry = new ToolSet([createEditTool("/w")]);
  const call = (args: object): Promise<ToolResult> =>
    runTool(registry, { callId: "call_1", tool: "edit", arguments: JSON.stringify(args) }, session.context());
  const read = async (path: string): Promise<string> => Buffer.from(await session.files.read(path)).toString();
  const write = (path: string, text: string): Promise<void> => session.files.write(path, Buffer.from(text), { parents: true });
  return { session, call, read, write, files: session.files };
}

test("undo goes back edit by edit, and undo of create leaves nothing behind", async () => {
  const { call, read, files } = setUp();
  await call({ command: "create", path: "new/deep/a.txt", file_text: "one\n" });
  await call({ command: "str_replace", path: "new/deep/a.txt", old_str: "one", new_str: "two" });
  await call({ command: "insert", path: "new/deep/a.txt", insert_line: 1, new_str: "three" });
  assert.equal(await read("new/deep/a.txt"), "two\nthree\n");
  await call({ command: "undo", path: "new/deep/a.txt" });
  assert.equal(await read("new/deep/a.txt"), "two\n");
  await call({ command: "undo", path: "/w/new/../new/deep/a.txt" });
  assert.equal(await read("new/deep/a.txt"), "one\n");
  assert.equal((await call({ command: "undo", path: "new/deep/a.txt" })).status, "ok");
  assert.deepEqual(await files.list("/w"), []);
  const more = await call({ command: "undo", path: "new/deep/a.txt" });
  assert.equal(more.status, "error");
  assert.match(more.output, /no edit .* to undo/);
});

test("undo never destroys what something else wrote", async () => {
  const { call, read, write } = setUp();
  await write("a.txt", "one\n");
  await call({ command: "str_replace", path: "a.txt", old_str: "one", new_str: "two" });
  await write("a.txt", "two and more\n");
  const result = await call({ command: "undo", path: "a.txt" });
  assert.equal(result.status, "error");
  assert.equal(await read("a.txt"), "two and more\n");
});

test("a change by something else is told of and kept", async () => {
  const { call, read, write } = setUp();
  await write("a.txt", "one\ntwo\n");
  await call({ command: "view", path: "a.txt" });
  await write("a.txt", "zero\none\ntwo\n");
  const result = await call({ command: "str_replace", path: "a.txt", old_str: "two", new_str: "2" });
  assert.match(result.output, /changed by something else/);
  assert.equal(await read("a.txt"), "zero\none\n2\n");
});

test("create replaces only what the agent has seen", async () => {
  const { call, read, write } = setUp();
  await write("a.txt", "precious\n");
  const blind = await call({ command: "create", path: "a.txt", file_text: "new\n" });
  assert.equal(blind.status, "error");
  assert.equal(await read("a.txt"), "precious\n");
  await call({ command: "view", path: "a.txt" });
  assert.equal((await call({ command: "create", path: "a.txt", file_text: "new\n" })).status, "ok");
  assert.equal(await read("a.txt"), "new\n");
  await call({ command: "undo", path: "a.txt" });
  assert.equal(await read("a.txt"), "precious\n");
});

test("links stay links and out of the workspace leads no way", async () => {
  const { call, read, write, files } = setUp();
  await write("real.txt", "one\n");
  await write("/outside/secret.txt", "one\n");
  await files.symlink("real.txt", "/w/soft.txt");
  files.link("/w/real.txt", "/w/hard.txt");
  await files.symlink("/outside", "/w/away");
  await files.symlink("made.txt", "/w/dangling.txt");
  await files.symlink("/outside/new.txt", "/w/dangling-away.txt");
  await call({ command: "str_replace", path: "soft.txt", old_str: "one", new_str: "two" });
  await call({ command: "str_replace", path: "hard.txt", old_str: "two", new_str: "three" });
  assert.equal(await read("real.txt"), "three\n");
  assert.equal((await files.stat("/w/soft.txt")).kind, "symlink");
  assert.equal((await files.stat("/w/hard.txt")).links, 2);
  assert.equal((await call({ command: "create", path: "dangling.txt", file_text: "x" })).status, "ok");
  assert.equal(await read("made.txt"), "x");
  for (const path of ["away/secret.txt", "../outside/secret.txt", "/outside/secret.txt", "dangling-away.txt", "away/new/x.txt"]) {
    const view = await call({ command: "view", path });
    assert.equal(view.status, "error");
    assert.match(view.output, /outside the workspace/, path);
    assert.equal((await call({ command: "create", path, file_text: "x" })).status, "error", path);
  }
});

test("an ambiguous or missing old_str shows where to look and changes nothing", async () => {
  const { call, read, write } = setUp();
  await write("a.txt", "x = 1\ny = 2\nx = 1\n");
  const twice = await call({ command: "str_replace", path: "a.txt", old_str: "x = 1", new_str: "x = 3" });
  assert.match(twice.output, /occurs 2 times[^]*1\tx = 1\n3\tx = 1/);
  const none = await call({ command: "str_replace", path: "a.txt", old_str: "y  =  2", new_str: "y = 3" });
  assert.match(none.output, /only white space differs, from line 2/);
  assert.equal(await read("a.txt"), "x = 1\ny = 2\nx = 1\n");
});

test("views are numbered and bounded", async () => {
  const { call, write } = setUp();
  await write("long.txt", `${Array.from({ length: 5000 }, (_, index) => `line ${index + 1}`).join("\n")}\n`);
  await write("wide.txt", `${"w".repeat(50_000)}\n`);
  const whole = await call({ command: "view", path: "long.txt" });
  assert.ok(whole.output.length < 17_000);
  assert.match(whole.output, /go on with view_range \[\d+, 5000\]/);
  const part = await call({ command: "view", path: "long.txt", view_range: [4999, -1] });
  assert.match(part.output, /4999\tline 4999\n5000\tline 5000$/);
  const wide = await call({ command: "view", path: "wide.txt" });
  assert.match(wide.output, /49,000 more characters in this line/);
  assert.equal((await call({ command: "view", path: "long.txt", view_range: [6000, 6001] })).status, "error");
  assert.match((await call({ command: "view", path: "." })).output, /long\.txt\nwide\.txt/);
  assert.match((await call({ command: "view", path: "lon.txt" })).output, /did you mean long\.txt/);
});
