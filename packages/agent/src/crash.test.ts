import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { body, type Event, type FaultPoints, ModelError } from "@guildhall/core";
import { seededRandom } from "@guildhall/core/testing";
import { Control, TurnEndReason } from "@guildhall/protocol";

import { FAULT_POINTS } from "./fault-points.ts";
import { replaySession } from "./replay/replay-session.ts";
import { does, type FakeTurn, finishes, Harness, looks } from "./testing/harness.ts";
import { assertValidLog, assertValidRequest } from "./testing/validity.ts";

/** Without it a fixed sample. */
const FULL = process.env["GUILD_TEST_FULL"] !== undefined;

/** The worker dies here. */
class Crash extends Error {
  override readonly name = "Crash";
}

/** Dies at the given hit (over all points), and counts. */
class DyingFaults implements FaultPoints {
  readonly hits: string[] = [];
  readonly #dieAt: number;

  constructor(dieAt: number) {
    this.#dieAt = dieAt;
  }

  hit(name: string): void {
    this.hits.push(name);
    if (this.hits.length === this.#dieAt) throw new Crash(`at ${name}`);
  }
}

/** Twenty steps of every kind: one call, several side by side, dependent ones, reads, refused ones. */
const TWENTY: FakeTurn[] = [
  ...Array.from({ length: 19 }, (_, step): FakeTurn => {
    switch (step % 5) {
      case 0:
        return { text: `Step ${step}.`, calls: [does(`a${step}`)] };
      case 1:
        return { calls: [looks(`b${step}`)] };
      case 2:
        return { calls: [does(`c${step}`), looks(`d${step}`), does(`e${step}`, { alone: true })] };
      case 3:
        return { calls: [does(`f${step}`), { tool: "do", args: '{"name' }] };
      default:
        return { calls: [{ tool: "task_tracker", args: { command: "plan", tasks: [{ title: `step ${step}`, status: "todo" }] } }] };
    }
  }),
  finishes("all done"),
];

describe("a run of twenty steps", () => {
  it("meets every fault point", async () => {
    const session = await Harness.start(TWENTY);
    const faults = new DyingFaults(Infinity);
    await session.run({ faults });
    assert.deepEqual(new Set(faults.hits), new Set(FAULT_POINTS));
  });

  it("that dies at any hit of any fault point and is resumed does everything once and ends with a whole log", async () => {
    const whole = await Harness.start(TWENTY);
    const faults = new DyingFaults(Infinity);
    await whole.run({ faults });
    const hits = faults.hits.length;
    assert.ok(hits > 100);
    for (let dieAt = 1; dieAt <= hits; dieAt += FULL ? 1 : 3) {
      const session = await Harness.start(TWENTY);
      const died = new DyingFaults(dieAt);
      await assert.rejects(session.run({ faults: died }), Crash, `hit ${dieAt}`);
      const at = `hit ${dieAt}: ${died.hits.at(-1)}`;
      const before = await session.events();
      const end = await session.run();
      assert.equal(end.reason, TurnEndReason.DONE, at);
      await assertWhole(session, before, at);
    }
  });

  it("that dies again while it is resumed", async () => {
    for (let seed = 1; seed <= (FULL ? 200 : 30); seed += 1) {
      const random = seededRandom(seed);
      const session = await Harness.start(TWENTY);
      for (let deaths = 0; ; deaths += 1) {
        const before = await session.events();
        try {
          await session.run({ faults: new DyingFaults(deaths < 12 ? 1 + random.below(40) : Infinity) });
          await assertWhole(session, before, `seed ${seed}`);
          break;
        } catch (error) {
          if (!(error instanceof Crash)) throw error;
        }
      }
    }
  });
});

describe("a session to which everything happens at random", () => {
  it("stays valid, and does nothing twice", async () => {
    for (let seed = 1; seed <= (FULL ? 1_000 : 60); seed += 1) await simulate(seed);
  });
});

async function simulate(seed: number): Promise<void> {
  const random = seededRandom(seed);
  let names = 0;
  const turns = (): FakeTurn => {
    if (random.chance(0.08)) return () => new ModelError(random.pick(["cut", "empty", "authentication", "context_overflow"]), "failed");
    if (random.chance(0.05)) return { text: "Shall I?" };
    if (random.chance(0.1)) return finishes(`summary ${names}`, random.chance(0.7));
    const calls = Array.from({ length: 1 + random.below(3) }, () => {
      names += 1;
      const what = random.pick(["do", "risky", "look", "alone", "bad"] as const);
      if (what === "look") return looks(`n${names}`);
      if (what === "bad") return { tool: "do", args: "{" };
      return does(`n${names}`, { risk: what === "risky" ? "high" : "low", alone: what === "alone", fail: random.chance(0.2) });
    });
    return { calls };
  };
  const session = await Harness.start(turns, { approvalPolicy: "risky", limits: { maxSteps: 60 } });
  const something = async () => {
    switch (random.below(6)) {
      case 0:
        return session.say(`message ${random.below(100)}`);
      case 1:
        return session.interrupt();
      case 2:
        return session.control(Control.PAUSE);
      case 3:
        return session.control(Control.RESUME);
      default: {
        const asked = (await session.state()).open.some((call) => call.approval !== undefined && call.approval.decision === undefined);
        return asked ? session.decide(random.chance(0.6)) : undefined;
      }
    }
  };
  session.world.during = async () => {
    if (random.chance(0.15)) await something();
  };
  for (let run = 0; run < 25; run += 1) {
    const [stop, drain] = [new AbortController(), new AbortController()];
    // Whoever waits is answered, or told to stop.
    let answered: Promise<unknown> | undefined;
    const waiting = (reason: string) => {
      if (reason.startsWith("approval")) answered = random.chance(0.8) ? session.decide(random.chance(0.5)) : session.interrupt();
    };
    const faults: FaultPoints = {
      hit: async (name) => {
        if (random.chance(0.08)) await something();
        if (random.chance(0.01)) stop.abort();
        if (random.chance(0.01)) drain.abort();
        if (random.chance(0.03)) throw new Crash(name);
      },
    };
    try {
      const unattended = random.chance(0.7);
      await session.run({ faults, unattended, drain: drain.signal, toolsKept: random.chance(0.3), listener: { waiting } }, stop.signal);
    } catch (error) {
      const stopped = error instanceof Error && "code" in error && error.code === "cancelled";
      if (!(error instanceof Crash) && !stopped) throw new Error(`seed ${seed}`, { cause: error });
    }
    await answered;
    await something();
    if (random.chance(0.05)) {
      await session.input(body.sessionRewound({ toSeq: 2 + random.below((await session.state()).seq), tree: "t" }));
      session.world.rewind();
    }
    if (random.chance(0.05)) await session.input(body.modelChanged({ model: `fake/${run}` }));
  }
  await session.control(Control.RESUME);
  await session.run();
  await assertWhole(session, [], `seed ${seed}`);
}

async function assertWhole(session: Harness, before: Event[], at: string): Promise<void> {
  const events = await session.events();
  try {
    assertValidLog(events);
    assert.deepEqual(events.slice(0, before.length), before, "what was stored stays");
    for (const request of session.models.flatMap((model) => model.requests)) assertValidRequest(request.messages);
    assert.equal(new Set(session.world.done).size, session.world.done.length, "nothing is done twice");
    const observed = events.flatMap(({ body }) => (body.case === "actionFinished" ? [body.value.output] : []));
    for (const output of observed) {
      const [, name] = /^did (\w+)$/.exec(output) ?? [];
      if (name !== undefined)
        assert.ok([...session.world.undone, ...session.world.done].includes(name), `${name} is reported and was done`);
    }
    const replay = await replaySession(events, { session: session.key.session });
    assert.deepEqual(replay, { identical: true, events: events.length, firstDifference: 0, difference: "" });
  } catch (error) {
    throw new Error(at, { cause: error });
  }
}
