import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { createMasker } from "@guildhall/core";
import { FakeToolSession } from "@guildhall/core/testing";
import { ActionStatus, TurnEndReason } from "@guildhall/protocol";

import { replaySession } from "./replay/replay-session.ts";
import { does, finishes, Harness } from "./testing/harness.ts";
import { assertValidLog } from "./testing/validity.ts";

const masker = () => createMasker(["open-sesame-17"]);

describe("a secret in the arguments of a call", () => {
  it("is in no event and in no later request, while the action has it, and the log replays as it is", async () => {
    const session = await Harness.start([{ calls: [does("open-sesame-17"), does("b")] }, finishes()]);
    const waits: string[] = [];
    const end = await session.run({
      masker: masker(),
      toolSession: Promise.resolve(Object.assign(new FakeToolSession(), { masker: masker() })),
      listener: { waiting: (reason) => waits.push(reason) },
    });
    assert.equal(end.reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.done, ["open-sesame-17", "b"]);
    const events = await session.events();
    const calls = events.flatMap(({ body }) => (body.case === "modelReplied" ? body.value.toolCalls : []));
    assert.deepEqual(
      calls.map((call) => [call.arguments, call.masked]),
      [
        ['{"name":"***"}', true],
        ['{"name":"b"}', false],
        ['{"summary":"done","done":true}', false],
      ],
    );
    const told = JSON.stringify([session.models.flatMap(({ requests }) => requests.map(({ messages }) => messages)), waits], (_, value) =>
      typeof value === "bigint" ? String(value) : value,
    );
    assert.ok(!told.includes("sesame"), told);
    assertValidLog(events);
    assert.equal((await replaySession(events, { session: "ses_1" })).difference, "");
  });

  it("is not in what a person is asked, and his word holds while the worker lives", async () => {
    const session = await Harness.start([{ calls: [does("open-sesame-17", { risk: "high" })] }, finishes()], { approvalPolicy: "risky" });
    let decided: Promise<void> | undefined;
    await session.run({
      masker: masker(),
      unattended: false,
      listener: { waiting: (reason) => void (reason === "approval do" && (decided = session.decide(true))) },
    });
    await decided;
    assert.deepEqual(session.world.done, ["open-sesame-17"]);
    const events = await session.events();
    assert.ok(events.every(({ body }) => body.case !== "approvalRequested" || !body.value.reason.includes("sesame")));
    assert.equal((await replaySession(events, { session: "ses_1" })).difference, "");
  });

  it("is not run in its masked form by a worker that takes over: the model is told to call again", async () => {
    const session = await Harness.start([{ calls: [does("open-sesame-17", { risk: "high" }), does("b")] }, finishes()], {
      approvalPolicy: "risky",
    });
    assert.equal((await session.run({ masker: masker() })).reason, TurnEndReason.NEEDS_APPROVAL);
    await session.decide(true);
    assert.equal((await session.run({ masker: masker() })).reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.done, ["b"]);
    const events = await session.events();
    const lost = events.flatMap(({ body }) =>
      body.case === "actionFinished" && body.value.output.includes("held a secret") ? [body.value] : [],
    );
    assert.deepEqual(
      lost.map(({ status }) => status),
      [ActionStatus.ERROR],
    );
    assertValidLog(events);
    assert.equal((await replaySession(events, { session: "ses_1" })).difference, "");
  });

  it("is not in what the model is told of arguments that are wrong", async () => {
    const session = await Harness.start([{ calls: [does("x", { risk: "open-sesame-17", "open-sesame-17": 1 })] }, finishes()]);
    await session.run({ masker: masker() });
    const texts = (await session.events()).flatMap(({ body }) => (body.case === "actionFinished" ? [body.value.output] : []));
    assert.match(texts[0] ?? "", /not run/);
    assert.ok(
      texts.every((text) => !text.includes("sesame")),
      texts[0],
    );
  });
});
