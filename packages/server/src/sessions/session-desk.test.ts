import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { create } from "@bufbuild/protobuf";
import { body, GuildError, type ModelProvider, type SessionRecord } from "@guildhall/core";
import { settingsSchema } from "@guildhall/core/settings";
import { failsWith, MemoryEventLog, seededIds } from "@guildhall/core/testing";
import { CreateSessionRequestSchema, ResumeSessionRequestSchema } from "@guildhall/protocol";

import type { SessionRunner } from "../worker/session-host.ts";
import { SessionDesk } from "./session-desk.ts";

/** A desk over a log in memory and a worker that a test says everything about. */
function deskOn(test: TestContext) {
  const workspace = mkdtempSync(join(tmpdir(), "guildhall-desk-"));
  test.after(() => rmSync(workspace, { recursive: true, force: true }));
  const log = new MemoryEventLog();
  const begun: SessionRecord[] = [];
  const rests = Promise.withResolvers<undefined>();
  const host = { running: false };
  const runner: Partial<SessionRunner> = {
    isRunning: () => host.running,
    rested: async () => await rests.promise,
    claim: () => Promise.resolve(() => undefined),
    untilFree: () => Promise.resolve(),
    ensureRunning: (record) => void begun.push(record),
  };
  const models: Partial<ModelProvider> = {
    async open({ spec }) {
      if (spec === "scripted:none") throw new GuildError("not_found", "there is no such script");
      return { close: async () => undefined } as Awaited<ReturnType<ModelProvider["open"]>>;
    },
  };
  const desk = new SessionDesk({
    log,
    host: runner as SessionRunner,
    ids: seededIds(1),
    settings: () => settingsSchema.parse({}),
    models: async () => models as ModelProvider,
    introduce: async () => ({
      review: false,
      systemPrompt: "",
      environmentHash: "",
      tools: [],
      approvalPolicy: "never",
      notices: [],
    }),
    screen: async (_, text) => text,
    checkSandbox(name) {
      if (name === "none") throw new GuildError("invalid_argument", "there is no such sandbox");
    },
  });
  const request = (fields: { goal?: string; model?: string; sandbox?: string }) =>
    create(CreateSessionRequestSchema, { workspace, model: "scripted:file", ...fields });
  return { desk, log, host, begun, rests, request };
}

const endOf = (text: string) => body.noticeGiven({ kind: "rules", text });

describe("the desk", () => {
  it("stores nothing of a session whose terms cannot be had, and names the first that cannot", async (test) => {
    const { desk, log, begun, request } = deskOn(test);
    await assert.rejects(desk.create(request({ sandbox: "none", model: "scripted:none" }), "person"), failsWith("invalid_argument"));
    await assert.rejects(desk.create(request({ model: "scripted:none" }), "person"), failsWith("not_found"));
    assert.deepEqual([await log.listSessions({ tenant: "local", limit: 10 }), begun], [[], []]);
  });

  it("begins the next turn of a session that is resumed while its last is just ending, once that has ended", async (test) => {
    const { desk, log, host, begun, rests, request } = deskOn(test);
    const { record } = await desk.create(request({}), "person");
    assert.equal(record.turnOpen, false);
    host.running = true;
    const resumed = desk.resume(create(ResumeSessionRequestSchema, { sessionId: record.session }), "person");
    await new Promise((resolve) => setImmediate(resolve));
    const before = await log.read(record, 1, 100);
    assert.ok(
      !before.some((event) => event.body.case === "controlRequested"),
      "not while the worker is still at it: it would be overlooked",
    );
    assert.deepEqual(begun, []);
    rests.resolve(undefined);
    const opened = await resumed;
    assert.equal(opened.turnOpen, true);
    assert.deepEqual(
      begun.map(({ session, turnOpen }) => [session, turnOpen]),
      [[record.session, true]],
    );
  });

  it("leaves alone a session that is at work", async (test) => {
    const { desk, log, host, begun, request } = deskOn(test);
    const { record } = await desk.create(request({ goal: "do it" }), "person");
    assert.equal(begun.length, 1);
    host.running = true;
    await log.appendInput(record, "part:memory", [endOf("between")]);
    assert.equal((await desk.resume(create(ResumeSessionRequestSchema, { sessionId: record.session }), "person")).turnOpen, true);
    assert.equal(begun.length, 1);
  });
});
