import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { type ApprovalRule, body } from "@guildhall/core";
import { simulatedClock } from "@guildhall/core/testing";
import { Control, PromptRole, Risk, TurnEndReason } from "@guildhall/protocol";

import { does, finishes, Harness, looks } from "./testing/harness.ts";
import { assertValidLog, assertValidRequest } from "./testing/validity.ts";

const risky = { approvalPolicy: "risky" };

describe("an action that needs approval", () => {
  it("ends an unattended turn, and goes on exactly there after a later decision", async () => {
    const session = await Harness.start([{ calls: [does("a", { risk: "high" })] }, finishes()], risky);
    const end = await session.run();
    assert.equal(end.reason, TurnEndReason.NEEDS_APPROVAL);
    assert.match(end.summary, /do needs approval/);
    assert.deepEqual(session.world.done, []);
    await session.decide(true);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.done, ["a"]);
    assert.equal(session.models.flatMap((model) => model.requests).length, 2);
    assertValidLog(await session.events());
  });

  it("is awaited when a person is there, while safe calls beside it run", async () => {
    const session = await Harness.start([{ calls: [does("a", { risk: "high" }), does("b")] }, finishes()], risky);
    const waits: string[] = [];
    let decided: Promise<void> | undefined;
    const end = session.run({
      unattended: false,
      listener: {
        waiting: (reason) => {
          waits.push(reason);
          if (reason === "approval do") decided = session.decide(true);
        },
      },
    });
    assert.equal((await end).reason, TurnEndReason.DONE);
    await decided;
    assert.deepEqual(session.world.done, ["b", "a"]);
    assert.ok(waits.includes("tool do: a"));
    assertValidLog(await session.events());
  });

  it("holds back the calls that depend on it", async () => {
    const session = await Harness.start(
      [{ calls: [does("a", { risk: "high" }), looks("a"), does("b"), { tool: "finish", args: { summary: "x" } }] }, finishes()],
      risky,
    );
    assert.equal((await session.run()).reason, TurnEndReason.NEEDS_APPROVAL);
    assert.deepEqual([session.world.done, session.world.seen], [["b"], []]);
    await session.decide(true);
    assert.equal((await session.run()).summary, "x");
    assert.deepEqual([session.world.done, session.world.seen], [["b", "a"], ["a"]]);
    assertValidLog(await session.events());
  });

  it("is not run when a person says no, and the model reads why", async () => {
    const session = await Harness.start([{ calls: [does("a", { risk: "high" })] }, finishes()], risky);
    await session.run();
    await session.decide(false, { comment: "not on a Friday" });
    await session.run();
    assert.deepEqual(session.world.done, []);
    assert.match(session.lastRequest.messages.findLast((one) => one.role === PromptRole.TOOL)?.text ?? "", /said no: not on a Friday/);
  });

  it("is not covered by a decision for another action, a second decision, or one that comes too late", async () => {
    const clock = simulatedClock();
    const session = await Harness.start([{ calls: [does("a", { risk: "high" })] }, finishes()], { ...risky, clock });
    await session.run();
    await session.decide(true, { actionDigest: "sha256:0" });
    assert.equal((await session.run()).reason, TurnEndReason.NEEDS_APPROVAL);
    await clock.advance(25 * 3_600_000);
    await session.decide(true);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.done, []);
    assert.match(session.lastRequest.messages.findLast((one) => one.role === PromptRole.TOOL)?.text ?? "", /Nobody decided in time/);
  });

  it("expires while the run waits for it", async () => {
    const clock = simulatedClock();
    const session = await Harness.start([{ calls: [does("a", { risk: "high" })] }, finishes()], { ...risky, clock });
    const waiting = Promise.withResolvers<void>();
    const end = session.run({
      unattended: false,
      approvalTtlMs: 1_000,
      listener: { waiting: (reason) => reason.startsWith("approval") && waiting.resolve() },
    });
    await waiting.promise;
    await clock.advance(2_000);
    assert.equal((await end).reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.done, []);
  });

  it("has been granted once, and once only", async () => {
    const again = { calls: [does("a", { risk: "high" })] };
    const session = await Harness.start([again, again, finishes()], risky);
    await session.run();
    await session.decide(true);
    assert.equal((await session.run()).reason, TurnEndReason.NEEDS_APPROVAL);
    assert.deepEqual(session.world.done, ["a"]);
    const first = (await session.events()).find(({ body: one }) => one.case === "approvalRequested")?.body;
    assert.equal(first?.case, "approvalRequested");
    const { approvalId, actionDigest } = first.value;
    await session.log.appendInput(session.key, "person:test", [
      body.approvalDecided({ approvalId, actionDigest, granted: true, comment: "replayed" }),
      body.controlRequested({ control: Control.RESUME }),
    ]);
    assert.equal((await session.run()).reason, TurnEndReason.NEEDS_APPROVAL);
    assert.deepEqual(session.world.done, ["a"]);
  });

  it("is dropped when the person writes instead", async () => {
    const session = await Harness.start([{ calls: [does("a", { risk: "high" })] }, finishes()], risky);
    await session.run();
    await session.say("Leave a alone.");
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    await session.decide(true);
    const late = await session.run();
    assert.deepEqual([late.reason, late.summary], [TurnEndReason.WAITING, "that approval is no longer asked for"]);
    assert.deepEqual(session.world.done, []);
    assertValidRequest(session.lastRequest.messages);
  });

  it("is asked about anew in a fork, whose workspace is another", async () => {
    const session = await Harness.start([{ calls: [does("a", { risk: "high" })] }, finishes()], risky);
    await session.run();
    await session.decide(true);
    await session.input(body.sessionForked({ parentSessionId: "ses_0", workspace: "/elsewhere" }));
    await session.control(Control.RESUME);
    assert.equal((await session.run()).reason, TurnEndReason.NEEDS_APPROVAL);
    assert.deepEqual(session.world.done, []);
    await session.decide(true);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.done, ["a"]);
    assertValidLog(await session.events());
  });

  it("is asked about anew when what it would do is another thing by now", async () => {
    const session = await Harness.start([{ calls: [does("a")] }, finishes()]);
    const asking = (digest: string) => ({ judge: () => ({ decision: "ask" as const, reason: "x", rule: "x", digest }) });
    assert.equal((await session.run({ approvals: asking("one") })).reason, TurnEndReason.NEEDS_APPROVAL);
    await session.decide(true);
    assert.equal((await session.run({ approvals: asking("two") })).reason, TurnEndReason.NEEDS_APPROVAL);
    assert.deepEqual(session.world.done, []);
    await session.decide(true);
    const end = await session.run({ approvals: asking("two") });
    assert.deepEqual([end.reason, session.world.done], [TurnEndReason.NEEDS_APPROVAL, ["a"]]);
  });

  it("is interrupted like any other", async () => {
    const session = await Harness.start([{ calls: [does("a", { risk: "high" })] }], risky);
    let interrupted: Promise<void> | undefined;
    const waiting = (reason: string) => {
      if (reason.startsWith("approval")) interrupted = session.interrupt();
    };
    assert.equal((await session.run({ unattended: false, listener: { waiting } })).reason, TurnEndReason.INTERRUPTED);
    await interrupted;
    assert.equal((await session.state()).open.length, 0);
  });
});

describe("the policy", () => {
  it("always asks about every action but those that touch nothing", async () => {
    const session = await Harness.start([{ calls: [{ tool: "think", args: { thought: "hm" } }] }, { calls: [does("a")] }, finishes()], {
      approvalPolicy: "always",
    });
    assert.equal((await session.run()).reason, TurnEndReason.NEEDS_APPROVAL);
    await session.decide(true);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
  });

  it("that refuses tells the model why", async () => {
    const session = await Harness.start([{ calls: [does("a")] }, finishes()]);
    await session.run({
      approvals: { judge: ({ tool }) => (tool === "do" ? { decision: "refuse", reason: "read only" } : { decision: "allow" }) },
    });
    assert.deepEqual(session.world.done, []);
    assert.match(session.lastRequest.messages.at(-1)?.text ?? "", /Refused by policy: read only/);
  });
});

describe("a further judge", () => {
  const judged = (answer: () => Promise<{ risk: Risk; reasons: string[] }>) =>
    Harness.start([{ calls: [does("a"), looks("b")] }, finishes()], {
      ...risky,
      deps: { actionJudge: (action) => (action.tool === "do" ? answer() : Promise.resolve({ risk: Risk.LOW, reasons: [] })) },
    });

  it("makes an action risky that analysis does not find so, and holds up nothing beside it", async () => {
    const session = await judged(async () => ({ risk: Risk.HIGH, reasons: ["it looks odd"] }));
    const end = await session.run();
    assert.equal(end.reason, TurnEndReason.NEEDS_APPROVAL);
    assert.match(end.summary, /its risk is high: it looks odd/);
    assert.deepEqual([session.world.done, session.world.seen], [[], ["b"]]);
    await session.decide(true);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.done, ["a"]);
  });

  it("counts as high when it fails, and lowers nothing", async () => {
    const failing = await judged(() => Promise.reject(new TypeError("no")));
    assert.match((await failing.run()).summary, /could not be judged/);
    const session = await Harness.start([{ calls: [does("a", { risk: "high" })] }, finishes()], {
      ...risky,
      deps: { actionJudge: async () => ({ risk: Risk.LOW, reasons: [] }) },
    });
    assert.equal((await session.run()).reason, TurnEndReason.NEEDS_APPROVAL);
  });
});

describe("rules for single actions", () => {
  it("let a session go on without a question, from the moment that they are there", async () => {
    const rules: ApprovalRule[] = [];
    const session = await Harness.start([{ calls: [does("a", { risk: "high" })] }, { calls: [does("a", { risk: "high" })] }, finishes()], {
      ...risky,
      deps: { approvalRules: () => rules },
    });
    assert.equal((await session.run()).reason, TurnEndReason.NEEDS_APPROVAL);
    const asked = (await session.state()).open[0]?.approval;
    rules.push({ name: "saved", decide: "allow", tool: "do", digest: asked?.digest });
    await session.decide(true);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.done, ["a", "a"]);
  });
});
