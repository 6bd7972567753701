import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import type { Sandbox, SessionPart, SessionState } from "@guildhall/core";

import type { PartContext } from "../parts/session-parts.ts";
import type { Environments } from "./environments.ts";
import { statePart } from "./state-part.ts";

async function opened(test: TestContext, sandbox: Promise<Partial<Sandbox>>): Promise<{ part: SessionPart; workspace: string }> {
  const workspace = realpathSync(mkdtempSync(join(tmpdir(), "guild-state-")));
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
    const never = new Promise<Sandbox>(() => undefined);
    const { part, workspace } = await opened(test, never);
    mkdirSync(join(workspace, "dist"));
    writeFileSync(join(workspace, "dist/a.txt"), "one");
    const signal = new AbortController().signal;
    const act = async (command: string) => {
      const action = { callId: command, tool: "edit", input: { command, path: "dist/a.txt" } };
      const refused = await part.beforeAction?.(action, signal);
      if (refused === undefined) await part.afterAction?.(action, { status: "ok", output: "" }, signal);
      return refused;
    };
    assert.equal(await act("view"), undefined);
    assert.equal(await act("create"), undefined);
    writeFileSync(join(workspace, "dist/a.txt"), "somebody else's");
    assert.match((await act("create")) ?? "", /dist\/a\.txt was changed from outside/);
    assert.equal(await act("view"), undefined);
    assert.equal(await act("create"), undefined);
  });
});
