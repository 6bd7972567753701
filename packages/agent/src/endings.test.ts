import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { type Budgets, GuildError, ModelError, sharedBudget } from "@guildhall/core";
import { simulatedClock } from "@guildhall/core/testing";
import { Control, PromptRole, TurnEndReason } from "@guildhall/protocol";

import { FakeModel, untilCancelled } from "./testing/fake-model.ts";
import { does, finishes, Harness, looks } from "./testing/harness.ts";
import { assertValidLog, assertValidRequest } from "./testing/validity.ts";

describe("limits", () => {
  it("of steps end the turn before the next call, say how to go on, and can be raised", async () => {
    const session = await Harness.start([{ calls: [looks("a")] }, { calls: [looks("b")] }, finishes()], { limits: { maxSteps: 2 } });
    const end = await session.run();
    assert.deepEqual([end.reason, end.detail], [TurnEndReason.LIMIT, "steps"]);
    assert.match(end.summary, /guild session resume ses_1 --max-steps 4/);
    assert.equal(session.models[0]?.requests.length, 2);
    await session.control(Control.RESUME, { maxSteps: 4 });
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
  });

  it("of tokens and money count what the provider said", async () => {
    const reply = { calls: [looks("a")], usage: { input: 900, output: 100, costUsd: 0.5 } };
    const tokens = await Harness.start([reply, finishes()], { limits: { maxTokens: 1_000 } });
    assert.equal((await tokens.run()).detail, "tokens");
    const cost = await Harness.start([reply, reply, finishes()], { limits: { maxCostUsd: 0.6 } });
    assert.equal((await cost.run()).detail, "cost");
    assert.equal(cost.models[0]?.requests.length, 2);
  });

  it("of money with an unknown price are refused, not ignored", async () => {
    const session = await Harness.start([finishes()], { limits: { maxCostUsd: 1 } });
    const model = new FakeModel([finishes()], { info: { price: undefined } });
    const end = await session.run({ openModel: async () => model });
    assert.deepEqual([end.reason, end.detail], [TurnEndReason.LIMIT, "cost:unknown_price"]);
    assert.match(end.summary, /price of fake\/model is not known/);
    assert.equal(model.requests.length, 0);
  });

  it("of time stop what is under way", async () => {
    const clock = simulatedClock();
    const session = await Harness.start([(_, signal) => untilCancelled(signal)], { limits: { maxSeconds: 60 }, clock });
    const end = session.run();
    while (session.models[0]?.requests.length !== 1) await new Promise(setImmediate);
    await clock.advance(60_001);
    assert.deepEqual([(await end).reason, (await end).detail], [TurnEndReason.LIMIT, "time"]);
  });

  it("of time count what was worked, wherever clocks are set meanwhile and whoever worked", async () => {
    const clock = simulatedClock();
    const day = 86_400_000;
    const leaseMs = 30 * day;
    const takes = (seconds: number) => async () => {
      await clock.advance(seconds * 1_000);
      return { calls: [looks(`after ${seconds}`)] };
    };
    const lost = new AbortController();
    const untilGone = async () => {
      lost.abort(new GuildError("cancelled", "its worker is gone"));
      return { calls: [looks("gone")] };
    };
    const endless = async (_: unknown, signal: AbortSignal) => {
      const [reply] = await Promise.all([untilCancelled(signal), clock.advance(30_000)]);
      return reply;
    };
    const session = await Harness.start([], { limits: { maxSeconds: 60 }, clock });
    // Set forward within a turn, back between two, forward before a takeover.
    const forward = async () => ((session.logAheadMs = day), takes(10)());
    session.turns = [forward, finishes(), takes(10), takes(10), untilGone, takes(10), takes(10), endless];
    assert.equal((await session.run({ leaseMs })).reason, TurnEndReason.DONE);
    session.logAheadMs = -day;
    await clock.advance(3_600_000);
    await session.say("More.");
    session.logAheadMs = 0;
    await assert.rejects(session.run({ leaseMs }, lost.signal), { code: "cancelled" });
    session.logAheadMs = day;
    const worked = (await session.state()).spent.activeMs + (await session.state()).turn.activeMs;
    assert.equal(worked, 30_000);
    const end = await session.run({ leaseMs });
    assert.deepEqual([end.reason, end.detail, end.activeMs], [TurnEndReason.LIMIT, "time", 50_001]);
    assert.equal((await session.state()).spent.activeMs, 60_001);
  });

  it("above the session end the turn, and what was reserved is given back", async () => {
    const budgets = sharedBudget("team", { steps: 1 });
    const session = await Harness.start([{ calls: [looks("a")] }, finishes()]);
    const end = await session.run({ budgets });
    assert.deepEqual([end.reason, end.detail], [TurnEndReason.LIMIT, "budget"]);
    assert.match(end.summary, /the team budget has 0 steps left/);
    assert.equal(budgets.spent.steps, 1);
  });

  it("give a reservation back when the call fails", async () => {
    const settled: unknown[] = [];
    const budgets: Budgets = { reserve: async () => ({ id: "1" }), settle: async (_, spent) => void settled.push(spent) };
    const session = await Harness.start([new ModelError("authentication", "no key")]);
    await session.run({ budgets });
    assert.deepEqual(settled, [{}]);
  });
});

describe("a model that fails", () => {
  for (const kind of ["empty", "truncated", "malformed", "too_large", "cut"] as const) {
    it(`with ${kind} is told three times, then the turn ends`, async () => {
      const session = await Harness.start(() => new ModelError(kind, `it was ${kind}`));
      const end = await session.run();
      assert.deepEqual([end.reason, end.detail], [TurnEndReason.FAILED, `model:${kind}`]);
      const requests = session.models[0]?.requests ?? [];
      assert.equal(requests.length, 4);
      for (const request of requests) assertValidRequest(request.messages);
      assert.match(requests[3]?.messages.at(-1)?.text ?? "", /could not be used/);
    });
  }

  it("and then answers goes on as if nothing had been", async () => {
    const cut = new ModelError("cut", "cut off");
    const session = await Harness.start([cut, cut, cut, { calls: [does("a")] }, cut, cut, cut, finishes()]);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.done, ["a"]);
    assertValidRequest(session.lastRequest.messages);
  });

  it("for good ends the turn with its kind and remedy; a message tries again", async () => {
    const session = await Harness.start([new ModelError("authentication", "the key was refused", { remedy: "set FAKE_KEY" })]);
    const end = await session.run();
    assert.deepEqual([end.reason, end.detail], [TurnEndReason.FAILED, "model:authentication"]);
    assert.match(end.summary, /set FAKE_KEY/);
    session.turns = [finishes()];
    await session.control(Control.RESUME);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
  });

  it("to open ends the turn with what to do", async () => {
    const session = await Harness.start([]);
    const end = await session.run({
      openModel: () => Promise.reject(new GuildError("unauthenticated", "no key for fake", { remedy: "set FAKE_KEY" })),
    });
    assert.deepEqual([end.reason, end.detail], [TurnEndReason.FAILED, "model:unauthenticated"]);
    assert.match(end.summary, /set FAKE_KEY/);
  });

  it("with a bug of its own does not take the run down", async () => {
    const session = await Harness.start([
      () => {
        throw new RangeError("a bug");
      },
    ]);
    assert.equal((await session.run()).detail, "model:other");
  });

  it("with an empty reply, or one of too many calls, is told so", async () => {
    const many = { calls: Array.from({ length: 65 }, () => looks("a")) };
    const session = await Harness.start([{ text: " " }, many, finishes()]);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.seen, []);
    const kinds = (await session.events()).flatMap(({ body }) => (body.case === "modelFailed" ? [body.value.kind] : []));
    assert.deepEqual(kinds, ["empty", "too_large"]);
  });

  it("because the conversation is too long gets a shorter one", async () => {
    const session = await Harness.start((step) => {
      if (step < 8) return { calls: [looks(`a${step}`, { size: 20_000 })] };
      return (request) => {
        const size = request.messages.reduce((sum, one) => sum + one.text.length, 0);
        return size > 60_000 ? new ModelError("context_overflow", "too long") : finishes();
      };
    });
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    assertValidRequest(session.lastRequest.messages);
    assert.ok((await session.kinds()).includes("contextCondensed"));
  });
});

describe("a reply without a call", () => {
  it("waits for the person who is there", async () => {
    const session = await Harness.start([{ text: "Which port?\nTell me." }, finishes()]);
    const end = await session.run({ unattended: false });
    assert.deepEqual([end.reason, end.summary], [TurnEndReason.WAITING, "Which port?"]);
    await session.say("8080");
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
  });

  it("is nudged twice when nobody is there, then waits", async () => {
    const session = await Harness.start(() => ({ text: "I would do it." }));
    assert.equal((await session.run()).reason, TurnEndReason.WAITING);
    assert.equal(session.models[0]?.requests.length, 3);
    assert.match(session.lastRequest.messages.at(-1)?.text ?? "", /call finish/);
    assertValidRequest(session.lastRequest.messages);
  });

  it("is counted anew after a call", async () => {
    const talk = { text: "Hm." };
    const session = await Harness.start([talk, talk, { calls: [does("a")] }, talk, talk, finishes()]);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
  });
});

describe("an agent that is stuck", () => {
  const stuck = async (turns: Parameters<typeof Harness.start>[0]) => {
    const session = await Harness.start(turns);
    return { session, end: await session.run() };
  };

  it("with the same call and result four times is told, and ended at the fifth", async () => {
    const { session, end } = await stuck(() => ({ calls: [looks("a")] }));
    assert.deepEqual([end.reason, end.detail], [TurnEndReason.GAVE_UP, "stuck:repeat"]);
    assert.equal(session.world.seen.length, 5);
    assert.match(session.lastRequest.messages.at(-1)?.text ?? "", /<notice>You are going round in circles/);
    assertValidRequest(session.lastRequest.messages);
  });

  it("with the same failing call three times is told, and ended at the fourth", async () => {
    const { session, end } = await stuck(() => ({ calls: [does("a", { fail: true })] }));
    assert.deepEqual([end.reason, end.detail], [TurnEndReason.GAVE_UP, "stuck:error"]);
    assert.equal(session.world.done.length, 4);
  });

  it("between two steps is told after six", async () => {
    const { session, end } = await stuck((step: number) => ({ calls: [looks(step % 2 === 0 ? "a" : "b")] }));
    assert.deepEqual([end.reason, end.detail], [TurnEndReason.GAVE_UP, "stuck:alternation"]);
    assert.equal(session.world.seen.length, 7);
  });

  it("and then does something else goes on", async () => {
    const same = { calls: [looks("a")] };
    const { end } = await stuck([same, same, same, same, { calls: [looks("b")] }, finishes()]);
    assert.equal(end.reason, TurnEndReason.DONE);
  });

  it("that falls back again and again is ended all the same", async () => {
    const { session, end } = await stuck((step: number) => ({ calls: [looks(step % 5 === 4 ? `other ${step}` : "a")] }));
    assert.equal(end.reason, TurnEndReason.GAVE_UP);
    assert.ok(session.world.seen.length < 25);
  });

  it("still takes messages", async () => {
    const { session } = await stuck(() => ({ calls: [looks("a")] }));
    session.turns = () => finishes("found another way");
    await session.say("Try b.");
    assert.equal((await session.run()).summary, "found another way");
  });

  it("is one that only talks when a person keeps saying go on without a word", async () => {
    const session = await Harness.start(() => ({ text: "I am on it." }));
    for (let turn = 0; turn < 2; turn += 1) {
      assert.equal((await session.run({ unattended: false })).reason, TurnEndReason.WAITING);
      await session.control(Control.RESUME);
    }
    assert.equal((await session.run({ unattended: false })).detail, "stuck:monologue");
  });
});

describe("a sandbox or checkpoint that fails", () => {
  it("ends the turn, and no call is left without an observation", async () => {
    const session = await Harness.start([{ calls: [does("a")] }, finishes()]);
    const end = await session.run({
      toolSession: Promise.reject(new GuildError("unsupported", "no user namespaces", { remedy: "see guild doctor" })),
    });
    assert.deepEqual([end.reason, end.detail], [TurnEndReason.FAILED, "sandbox:unsupported"]);
    assert.match(end.summary, /see guild doctor/);
    assertValidLog(await session.events());
    assert.equal((await session.state()).open.length, 0);
    await session.control(Control.RESUME);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    assertValidRequest(session.lastRequest.messages);
  });

  it("before the first action lets no action begin", async () => {
    const session = await Harness.start([{ calls: [does("a")] }]);
    const failing = { ...session.world.checkpointer(), capture: () => Promise.reject(new GuildError("storage_full", "disk full")) };
    const end = await session.run({ checkpointer: Promise.resolve(failing) });
    assert.deepEqual([end.reason, end.detail], [TurnEndReason.FAILED, "checkpoint:storage_full"]);
    assert.deepEqual(session.world.done, []);
  });

  it("after an action keeps the observation", async () => {
    const session = await Harness.start([{ calls: [does("a")] }]);
    const good = session.world.checkpointer();
    let captures = 0;
    const capture = () => (captures++ === 0 ? good.capture() : Promise.reject(new GuildError("storage_full", "disk full")));
    const end = await session.run({ checkpointer: Promise.resolve({ ...good, capture }) });
    assert.equal(end.detail, "checkpoint:storage_full");
    assert.deepEqual((await session.kinds()).slice(-2), ["actionFinished", "turnEnded"]);
  });
});

describe("a worker that has to go", () => {
  it("at once records its calls as interrupted and leaves the turn open", async () => {
    const session = await Harness.start([{ calls: [does("a")] }, finishes()]);
    const stop = new AbortController();
    session.world.during = async (_, signal) => {
      stop.abort();
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
        if (signal.aborted) resolve();
      });
    };
    await assert.rejects(session.run({}, stop.signal), (error) => GuildError.is(error, "cancelled"));
    assert.equal((await session.kinds()).at(-1), "actionFinished");
    session.world.during = undefined;
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.done, []);
    assert.match(session.lastRequest.messages.findLast((one) => one.role === PromptRole.TOOL)?.text ?? "", /Interrupted/);
  });

  it("at a safe point finishes its calls first", async () => {
    const session = await Harness.start([{ calls: [does("a")] }, finishes()]);
    const drain = new AbortController();
    session.world.during = () => drain.abort();
    await assert.rejects(session.run({ drain: drain.signal }), (error) => GuildError.is(error, "cancelled"));
    assert.deepEqual(session.world.done, ["a"]);
    assert.equal((await session.log.getSession(session.key)).turnOpen, true);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    assert.match(session.lastRequest.messages.at(-1)?.text ?? "", /resumed/);
  });

  it("before it began does nothing", async () => {
    const session = await Harness.start([finishes()]);
    await assert.rejects(session.run({}, AbortSignal.abort()), (error) => GuildError.is(error, "cancelled"));
    assert.equal((await session.log.getSession(session.key)).epoch, 0);
  });

  it("because another took over records nothing more", async () => {
    const session = await Harness.start([{ calls: [does("a")] }, finishes()]);
    let events = 0;
    session.world.during = async () => {
      await session.log.acquireLease(session.key, "thief", 60_000, { takeover: true });
      events = (await session.events()).length;
    };
    await assert.rejects(session.run(), (error) => GuildError.is(error, "lease_lost"));
    assert.equal((await session.events()).length, events);
  });

  it("does not take a session from a worker whose lease runs", async () => {
    const session = await Harness.start([finishes()]);
    await session.log.acquireLease(session.key, "other", 60_000);
    await assert.rejects(session.run({ takeover: false }), (error) => GuildError.is(error, "failed_precondition"));
  });
});
