import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import type { Sandbox, SessionPart, SessionState } from "@guildhall/core";

import type { PartContext } from "../parts/session-parts.ts";
import type { Environments } from "./environments.ts";
import { statePart } from "./state-part.ts";

async function opened(
  test: TestContext,
  sandbox: Promise<Partial<Sandbox>>,
  before: (workspace: string) => void = () => undefined,
): Promise<{ part: SessionPart; workspace: string }> {
  const workspace = realpathSync(mkdtempSync(join(tmpdir(), "guild-state-")));
  before(workspace);
  const facts = { ecosystems: [], services: [], declared: [], problems: [] };
  const environments = { resolve: async () => ({ facts }) } as unknown as Environments;
  const part = await statePart(environments).open({ workspace, provider: "", sandbox } as unknown as PartContext);
  assert.ok(part !== undefined);
  test.after(async () => {
    await part.close?.();
    rmSync(workspace, { recursive: true, force: true });
  });
  return { part, workspace };
}

const notices = async (part: SessionPart): Promise<string> =>
  ((await part.beforeStep?.({} as SessionState, new AbortController().signal)) ?? []).map(({ text }) => text).join("\n");

describe("what a session is told of its surroundings", () => {
  const signal = new AbortController().signal;
  const act = async (part: SessionPart, tool: string, input: object, data?: unknown): Promise<string | undefined> => {
    const action = { callId: "one", tool, input };
    const refused = await part.beforeAction?.(action, signal);
    if (refused === undefined) await part.afterAction?.(action, { status: "ok", output: "", data }, signal);
    return refused;
  };
  const told = async (part: SessionPart, wanted: RegExp): Promise<string> => {
    let all = "";
    for (let round = 0; round < 500 && !wanted.test(all); round++) {
      all += await notices(part);
      await sleep(10);
    }
    return all;
  };
  const never = (): Promise<Sandbox> => new Promise<Sandbox>(() => undefined);

  it("says that it cannot look into a sandbox that answers with nonsense, once, and goes on", async (test) => {
    const files = { read: async () => undefined, list: async () => undefined } as unknown as Sandbox["files"];
    const { part } = await opened(test, Promise.resolve({ provider: "fake", files }));
    let told = "";
    for (let round = 0; round < 500 && told === ""; round++) {
      told = await notices(part);
      await sleep(10);
    }
    assert.match(told, /Ports and processes cannot be watched: /);
    assert.equal(await notices(part), "");
  });

  it("does not let a file be written over that nobody watches and somebody else has changed", async (test) => {
    const { part, workspace } = await opened(test, new Promise<Sandbox>(() => undefined));
    mkdirSync(join(workspace, "dist"));
    writeFileSync(join(workspace, "dist/a.txt"), "one");
    const look = async (command: string) => {
      const action = { callId: command, tool: "edit", input: { command, path: "dist/a.txt" } };
      const refused = await part.beforeAction?.(action, signal);
      if (refused === undefined) await part.afterAction?.(action, { status: "ok", output: "" }, signal);
      return refused;
    };
    assert.equal(await look("view"), undefined);
    assert.equal(await look("create"), undefined);
    writeFileSync(join(workspace, "dist/a.txt"), "somebody else's");
    assert.match((await look("create")) ?? "", /dist\/a\.txt was changed from outside/);
    assert.equal(await look("view"), undefined);
    assert.equal(await look("create"), undefined);
  });

  it("takes what the agent's own tools have renamed, formatted and rewritten for its own, and what others wrote in between for theirs", async (test) => {
    const { part, workspace } = await opened(test, never());
    for (const name of ["a.ts", "b.ts"]) {
      writeFileSync(join(workspace, name), "one\n");
      await act(part, "edit", { command: "view", path: name });
    }
    const rename = { operation: "rename", path: "a.ts", line: 1, new_name: "two" };
    await part.beforeAction?.({ callId: "r", tool: "lsp", input: rename }, signal);
    for (const name of ["a.ts", "b.ts"]) writeFileSync(join(workspace, name), "two\n");
    await part.afterAction?.(
      { callId: "r", tool: "lsp", input: rename },
      { status: "ok", output: "", data: { changed: ["a.ts", "b.ts"] } },
      signal,
    );
    assert.equal(await act(part, "edit", { command: "str_replace", path: "b.ts" }), undefined);
    writeFileSync(join(workspace, "b.ts"), "a person's\n");
    for (const [tool, input] of [
      ["lsp", { operation: "format", path: "b.ts" }],
      ["edit", { command: "create", path: "b.ts" }],
    ] as const) {
      assert.match((await act(part, tool, input)) ?? "", /b\.ts was changed from outside/);
      writeFileSync(join(workspace, "b.ts"), `a person's again, before ${tool}\n`);
    }
    assert.match((await act(part, "ast", { apply: true, path: "b.ts", pattern: "a" })) ?? "", /b\.ts was changed from outside/);
    assert.equal(await act(part, "lsp", { operation: "hover", path: "b.ts", line: 1 }), undefined);
  });

  it("tells a commit of somebody else's and a switched branch, not the agent's own commit", async (test) => {
    const { part, workspace } = await opened(test, never(), (directory) => {
      mkdirSync(join(directory, ".git/refs/heads"), { recursive: true });
      writeFileSync(join(directory, ".git/HEAD"), "ref: refs/heads/main\n");
      writeFileSync(join(directory, ".git/refs/heads/main"), `${"a".repeat(40)}\n`);
    });
    const commit = (to: string): void => {
      writeFileSync(join(workspace, ".git/refs/heads/main"), `${to.repeat(40)}\n`);
      writeFileSync(join(workspace, ".git/index"), to);
    };
    await notices(part);
    await sleep(50);
    const during = async (command: string, output: string, work: () => void): Promise<void> => {
      const action = { callId: "c", tool: "bash", input: { command } };
      await part.beforeAction?.(action, signal);
      work();
      await sleep(50);
      await part.afterAction?.(action, { status: "ok", output }, signal);
    };
    await during("git commit", `[main ${"b".repeat(7)}] mended`, () => commit("b"));
    assert.equal(await notices(part), "");
    commit("c");
    assert.match(await told(part, /HEAD/), /Somebody has moved HEAD on the same branch: it is at cccccccccccc now; it was at bbbbbbbbbbbb/);
    // Two in one step, of which the agent has made one, by whatever words.
    const log = (from: string, to: string, why: string): void => {
      mkdirSync(join(workspace, ".git/logs"), { recursive: true });
      appendFileSync(join(workspace, ".git/logs/HEAD"), `${from.repeat(40)} ${to.repeat(40)} A <a@b> 1 +0000\t${why}\n`);
    };
    const both = (): void => {
      log("b", "c", "commit: theirs before");
      log("c", "d", "commit: the mended sums");
      log("d", "e", "commit: a person's own");
      commit("e");
    };
    await during('git commit --quiet --message "the mended sums"', "", both);
    assert.match(
      await told(part, /HEAD/),
      /HEAD has moved on the same branch while your command ran, not only by what it has printed: it is at eeeeeeeeeeee now; it was at cccccccccccc \(commit: a person's own\)\./,
    );
    await during('git commit --quiet --message "another line of work"', "", () => {
      log("e", "f", "commit: another line of work");
      commit("f");
    });
    assert.equal(await notices(part), "");
    writeFileSync(join(workspace, ".git/HEAD"), "ref: refs/heads/other\n");
    assert.match(await told(part, /branch/), /The branch is other now; it was main/);
  });

  it("knows what a copy has brought to the workspace from what somebody else has written there", async (test) => {
    const brought: string[] = [];
    const inside = new Map([["a.txt", 1]]);
    const stat = async (path: string) => ({ inode: 1n, size: 1, mtimeMs: inside.get(path.slice(path.lastIndexOf("/") + 1)) ?? 0 });
    const files = { stat, read: async () => Buffer.from(""), list: async () => [] } as unknown as Sandbox["files"];
    const sandbox = { provider: "host", files, settle: async () => [], brought: () => brought.splice(0) };
    const { part, workspace } = await opened(test, Promise.resolve(sandbox));
    await notices(part);
    await sleep(50);
    await act(part, "edit", { command: "create", path: "a.txt" });
    brought.push("a.txt", "made.txt");
    for (const name of ["a.txt", "made.txt", "theirs.txt"]) writeFileSync(join(workspace, name), "x");
    const all = await told(part, /theirs/);
    assert.match(all, /Changed from outside this session: theirs\.txt$/m);
    assert.doesNotMatch(all, /a\.txt|made/);
    assert.equal(await act(part, "edit", { command: "create", path: "a.txt" }), undefined);
    inside.set("a.txt", 2);
    assert.match((await act(part, "edit", { command: "create", path: "a.txt" })) ?? "", /a\.txt was changed from outside/);
  });
});
