import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";

import { simulatedClock } from "@guildhall/core/testing";
import { ActionStatus, Control, PromptRole, TurnEndReason } from "@guildhall/protocol";

import { untilCancelled } from "./testing/fake-model.ts";
import { does, type FakeReply, finishes, Harness, looks } from "./testing/harness.ts";
import { assertValidLog, assertValidRequest } from "./testing/validity.ts";

describe("a turn", () => {
  it("goes from the goal to the finish, with two appends a step", async () => {
    const session = await Harness.start([{ text: "Look first.", calls: [looks("a")] }, { calls: [does("b")] }, finishes("b is done")]);
    const appends: string[][] = [];
    const { log } = session;
    const append = log.append.bind(log);
    log.append = (wanted) => {
      appends.push(wanted.events.map((event) => event.case));
      return append(wanted);
    };
    const end = await session.run();
    assert.deepEqual([end.reason, end.summary], [TurnEndReason.DONE, "b is done"]);
    assert.deepEqual(session.world.done, ["b"]);
    assert.deepEqual(appends, [
      ["leaseTaken"],
      ["checkpointMade", "modelReplied", "actionStarted"],
      ["actionFinished"],
      ["modelReplied", "actionStarted"],
      ["actionFinished", "checkpointMade"],
      ["modelReplied", "actionStarted"],
      ["actionFinished", "turnEnded"],
    ]);
    assertValidLog(await session.events());
    for (const request of session.models[0]?.requests ?? []) assertValidRequest(request.messages);
    assert.equal(session.models[0]?.closed, 1);
    assert.equal((await log.getSession(session.key)).leaseOwner, undefined);
  });

  it("that is over already is answered with its end, and nothing is written", async () => {
    const session = await Harness.start([finishes()]);
    await session.run();
    const before = (await session.events()).length;
    const again = await session.run();
    assert.equal(again.reason, TurnEndReason.DONE);
    assert.equal((await session.events()).length, before);
  });

  it("goes on with the next message", async () => {
    const session = await Harness.start([finishes("first"), finishes("second")]);
    await session.run();
    await session.say("And now?");
    assert.equal((await session.run()).summary, "second");
    assert.deepEqual(
      session.lastRequest.messages.map((one) => one.role),
      [PromptRole.SYSTEM, PromptRole.USER, PromptRole.ASSISTANT, PromptRole.TOOL, PromptRole.USER],
    );
    assert.match(session.lastRequest.messages.at(-1)?.text ?? "", /And now\?/);
  });

  it("runs independent calls side by side and records them in the order of the calls", async () => {
    const session = await Harness.start([{ calls: [does("slow"), does("fast"), does("last", { alone: true })] }, finishes()]);
    const slow = Promise.withResolvers<void>();
    session.world.during = async (name) => {
      if (name === "slow") await slow.promise;
      if (name === "fast") setImmediate(() => slow.resolve());
    };
    await session.run();
    assert.deepEqual(session.world.done, ["fast", "slow", "last"]);
    const observed = (await session.events()).flatMap(({ body }) => (body.case === "actionFinished" ? [body.value.output] : []));
    assert.deepEqual(observed, ["did slow", "did fast", "did last", "done"]);
  });

  it("tells the model of arguments that are no JSON, do not fit, or name no tool, and runs nothing", async () => {
    const session = await Harness.start([
      { calls: [{ tool: "do", args: '{"name": "x' }, { tool: "do", args: { nam: "x" } }, { tool: "dig", args: {} }, looks("y")] },
      finishes(),
    ]);
    await session.run();
    assert.deepEqual(session.world.done, []);
    assert.deepEqual(session.world.seen, ["y"]);
    const tools = session.lastRequest.messages.filter((one) => one.role === PromptRole.TOOL);
    assert.deepEqual(
      tools.map((one) => one.isError),
      [true, true, true, false],
    );
    assert.match(tools[0]?.text ?? "", /not valid JSON/);
    const events = await session.events();
    assert.equal(events.filter(({ body }) => body.case === "actionStarted").length, 2);
    assertValidLog(events);
  });

  it("gives calls ids of their own when the model repeats its", async () => {
    const call = { id: "call_0", tool: "look", args: { name: "a" } };
    const session = await Harness.start([{ calls: [call, call] }, { calls: [call] }, finishes()]);
    await session.run();
    assertValidLog(await session.events());
    assertValidRequest(session.lastRequest.messages);
  });

  it("keeps a message that comes during a model call for after that reply's observations", async () => {
    const session = await Harness.start([
      async () => {
        await session.say("Also b.");
        return { calls: [does("a")] };
      },
      { calls: [does("b")] },
      finishes(),
    ]);
    await session.run();
    assert.deepEqual(session.world.done, ["a", "b"]);
    const second = session.models[0]?.requests[1]?.messages ?? [];
    assert.deepEqual(
      second.map((one) => one.text),
      ["You are an agent in a test.", "Do it.", "", "did a", "Also b."],
    );
    assertValidLog(await session.events());
  });

  it("does not end with finish while a message is unread", async () => {
    const session = await Harness.start([finishes("first"), { calls: [does("b")] }, finishes("second")]);
    let said = false;
    session.world.during = undefined;
    const end = await session.run({
      faults: {
        hit: async (name) => {
          if (name === "tool:after" && !said) {
            said = true;
            await session.say("Wait, b too.");
          }
        },
      },
    });
    assert.equal(end.summary, "second");
    assert.deepEqual(session.world.done, ["b"]);
  });

  it("masks what tools print and what the model says, to its end", async () => {
    // Holds back whatever might be the beginning of the secret.
    const stream = () => {
      let held = "";
      return {
        push: (text: string) => {
          const all = (held + text).replaceAll("hunter2", "***");
          held = all.slice(-6);
          return all.slice(0, -6);
        },
        end: () => held,
      };
    };
    const masker = { add: () => undefined, mask: (text: string) => text.replaceAll("hunter2", "***"), stream };
    const shown: string[] = [];
    const session = await Harness.start([{ text: "It is hunter2!", calls: [looks("a"), does("b")] }, finishes()]);
    await session.run({ masker, listener: { output: (_, text) => shown.push(text), text: (text) => shown.push(text) } });
    const said = (await session.events()).flatMap(({ body }) => (body.case === "modelReplied" ? [body.value.text] : []));
    assert.equal(said[0], "It is ***!");
    assert.equal(shown.join(""), "It is ***!doing b\n");
  });
});

describe("a person's control", () => {
  it("interrupt ends a model call at once, and a message goes on", async () => {
    const session = await Harness.start([finishes("after")]);
    const turns = session.turns;
    session.turns = [
      async (_, signal) => {
        await session.interrupt();
        return untilCancelled(signal);
      },
    ];
    assert.equal((await session.run()).reason, TurnEndReason.INTERRUPTED);
    session.turns = turns;
    await session.say("Go on.");
    assert.equal((await session.run()).summary, "after");
  });

  it("interrupt does not wait for a model that takes no notice of it", async () => {
    const clock = simulatedClock();
    const asked = Promise.withResolvers<void>();
    const never = Promise.withResolvers<FakeReply>();
    const stubborn = () => {
      asked.resolve();
      return never.promise;
    };
    const session = await Harness.start([stubborn], { clock });
    const end = session.run();
    await asked.promise;
    await session.interrupt();
    while (clock.sleepers < 2) await nextTurn();
    await clock.advance(5_000);
    assert.equal((await end).reason, TurnEndReason.INTERRUPTED);
  });

  it("interrupt stops calls: those under way and those still to come", async () => {
    const session = await Harness.start([{ calls: [does("a"), does("b", { alone: true })] }]);
    session.world.during = async (_, signal) => {
      await session.interrupt();
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    };
    const end = await session.run();
    assert.equal(end.reason, TurnEndReason.INTERRUPTED);
    assert.deepEqual(session.world.done, []);
    const observed = (await session.events()).flatMap(({ body }) => (body.case === "actionFinished" ? [body.value] : []));
    assert.deepEqual(
      observed.map((one) => one.status),
      [ActionStatus.INTERRUPTED, ActionStatus.INTERRUPTED],
    );
    assert.match(observed[0]?.output ?? "", /while it ran/);
    assert.match(observed[1]?.output ?? "", /before it ran/);
    assertValidLog(await session.events());
  });

  it("interrupt that meets a finished reply keeps the reply and runs none of its calls", async () => {
    const session = await Harness.start([
      async () => {
        await session.interrupt();
        return { calls: [does("a")] };
      },
    ]);
    assert.equal((await session.run()).reason, TurnEndReason.INTERRUPTED);
    assert.deepEqual(session.world.done, []);
    assert.deepEqual((await session.kinds()).slice(-3), ["modelReplied", "actionFinished", "turnEnded"]);
    assertValidLog(await session.events());
  });

  it("pause lets calls under way finish, and resume goes on", async () => {
    const session = await Harness.start([{ calls: [does("a")] }, finishes()]);
    session.world.during = () => session.control(Control.PAUSE);
    const paused = await session.run();
    assert.equal(paused.reason, TurnEndReason.PAUSED);
    assert.deepEqual(session.world.done, ["a"]);
    session.world.during = undefined;
    await session.control(Control.RESUME);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
  });

  it("pause during a model call holds the calls of its reply until it is resumed", async () => {
    const session = await Harness.start([
      async () => {
        await session.control(Control.PAUSE);
        return { calls: [does("a")] };
      },
      finishes(),
    ]);
    assert.equal((await session.run()).reason, TurnEndReason.PAUSED);
    assert.deepEqual(session.world.done, []);
    await session.control(Control.RESUME);
    assert.equal((await session.run()).reason, TurnEndReason.DONE);
    assert.deepEqual(session.world.done, ["a"]);
    assertValidLog(await session.events());
  });

  it("a message after a pause takes the place of calls that were held", async () => {
    const session = await Harness.start([
      async () => {
        await session.control(Control.PAUSE);
        return { calls: [does("a")] };
      },
      finishes(),
    ]);
    await session.run();
    await session.say("Not that!");
    await session.run();
    assert.deepEqual(session.world.done, []);
    assertValidRequest(session.lastRequest.messages);
  });
});
