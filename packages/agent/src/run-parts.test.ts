import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { createMasker, GuildError, type SessionPart } from "@guildhall/core";
import { TurnEndReason } from "@guildhall/protocol";

import { replaySession } from "./replay/replay-session.ts";
import { does, finishes, Harness } from "./testing/harness.ts";
import { JoinedTools } from "./tools/index.ts";

const parts = (...all: SessionPart[]) => Promise.resolve(all);

async function outputs(session: Harness): Promise<string[]> {
  return (await session.events()).flatMap(({ body }) => (body.case === "actionFinished" ? [body.value.output] : []));
}

describe("the parts of a session", () => {
  it("tell the model something before each step, once, masked, and a replay needs none of them", async () => {
    const asked: number[] = [];
    const memory: SessionPart = {
      name: "memory",
      beforeStep: ({ steps }) => {
        asked.push(steps);
        return steps === 1 ? [{ kind: "memory", text: "the word is sesame" }] : [];
      },
    };
    const session = await Harness.start([{ calls: [does("a")] }, { calls: [does("b")] }, finishes()]);
    await session.run({ parts: parts(memory), masker: createMasker(["sesame"]) });
    assert.deepEqual(asked, [0, 1, 2]);
    const said = (await session.events()).filter(({ body }) => body.case === "noticeGiven");
    assert.deepEqual(
      said
        .map(({ actor, body }) => [actor, body.value])
        .map(([actor, value]) => [actor, (value as { text: string }).text.includes("sesame")]),
      [["part:memory", false]],
    );
    const seen = session.models[0]?.requests.map(({ messages }) => messages.some(({ text }) => text.includes("the word is")));
    assert.deepEqual(seen, [false, true, true]);
    assert.equal((await replaySession(await session.events(), { session: "ses_1" })).difference, "");
  });

  it("refuse an action, add to an observation and hear of the end", async () => {
    const ends: TurnEndReason[] = [];
    const hooks: SessionPart = {
      name: "hooks",
      beforeAction: ({ input }) => ((input as { name: string }).name === "bad" ? "it is bad" : undefined),
      afterAction: (action, { output }) => `after ${action.tool}: ${output.length}`,
      turnEnded: ({ reason }) => void ends.push(reason),
    };
    const session = await Harness.start([{ calls: [does("bad"), does("good")] }, finishes()]);
    await session.run({ parts: parts(hooks) });
    const [refused, added] = await outputs(session);
    assert.equal(refused, "Refused by hooks: it is bad. Nothing was done.");
    assert.equal(added, "did good\n\nafter do: 8");
    assert.deepEqual(session.world.done, ["good"]);
    assert.deepEqual(ends, [TurnEndReason.DONE]);
    assert.equal((await replaySession(await session.events(), { session: "ses_1" })).difference, "");
  });

  it("that fail are reported, and refuse what they were to check", async () => {
    const fail = () => {
      throw new GuildError("internal", "broken");
    };
    const failed: string[] = [];
    const broken: SessionPart = {
      name: "broken",
      beforeStep: fail,
      beforeAction: ({ tool }) => (tool === "do" ? fail() : undefined),
      turnEnded: fail,
    };
    const session = await Harness.start([{ calls: [does("a")] }, finishes()]);
    const end = await session.run({ parts: parts(broken), partFailed: (part, { message }) => failed.push(`${part} ${message}`) });
    assert.equal(end.reason, TurnEndReason.DONE);
    assert.match((await outputs(session))[0] ?? "", /^Refused: broken could not check it/);
    assert.deepEqual(session.world.done, []);
    assert.deepEqual(failed, ["broken broken", "broken broken", "broken broken"]);
  });

  it("that cannot be opened leave the session as it is", async () => {
    const session = await Harness.start([{ calls: [does("a")] }, finishes()]);
    const failed: string[] = [];
    const none = Promise.reject(new GuildError("unavailable", "no parts"));
    const end = await session.run({ parts: none, partFailed: (part) => failed.push(part) });
    assert.equal(end.reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.done, ["a"]);
    assert.ok(failed.includes("parts"));
  });

  it("give tools that come and go while the session runs", async () => {
    const { world } = await Harness.start([]);
    const [extra] = world.tools.list();
    assert.ok(extra !== undefined);
    let own: SessionPart["tools"] extends (() => infer T) | undefined ? T : never = [];
    const part: SessionPart = { name: "project", tools: () => own };
    const leftOut: string[] = [];
    const tools = new JoinedTools({
      base: world.tools,
      parts: [part],
      leftOut: (name, { code }) => leftOut.push(`${name} ${code}`),
    });
    assert.equal(tools.get("extra"), undefined);
    const before = tools.list();
    assert.deepEqual(tools.list(), before);
    own = [
      { ...extra, name: "extra", source: "project" },
      { ...extra, source: "project" },
    ];
    assert.deepEqual(
      tools.list().map(({ name }) => name),
      [...before.map(({ name }) => name), "extra"],
    );
    tools.list();
    assert.deepEqual(leftOut, ["project already_exists"]);
    own = [];
    assert.equal(tools.get("extra"), undefined);
  });
});
