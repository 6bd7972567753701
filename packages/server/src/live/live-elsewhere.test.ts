import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { GuildError } from "@guildhall/core";
import { seededRandom } from "@guildhall/core/testing";
import { type Delta, DeltaSchema } from "@guildhall/protocol";
import { DeltasMessageSchema } from "@guildhall/protocol/internal";

import type { Notice, Notices } from "../storage/notices.ts";
import { createDeltaHub } from "../worker/deltas.ts";
import { kindOf, UnderWay } from "../worker/under-way.ts";
import { LiveElsewhere } from "./live-elsewhere.ts";
import { FrameJoiner, framesOf } from "./live-frames.ts";
import { parseRequest, requestFrames } from "./live-requests.ts";

/** A database's notices, which take their time, and whose connections break. */
class Exchange {
  told = 0;
  longest = 0;
  away = false;
  #way: Notice[] = [];

  readonly #ends: End[] = [];

  end(): { notices: Notices; cut(on: boolean): void } {
    const own: End[] = [];
    return {
      notices: {
        hear: async (channel, heard, connected) => {
          const end = { channel, heard, connected, cut: false };
          own.push(end);
          this.#ends.push(end);
          connected();
        },
        tell: async (notices) => {
          if (this.away) throw new GuildError("unavailable", "the database is away");
          this.told += notices.length;
          for (const { payload } of notices) this.longest = Math.max(this.longest, Buffer.byteLength(payload));
          this.#way.push(...notices);
        },
      },
      cut(on) {
        for (const end of own) end.cut = on;
        if (!on) for (const end of own) end.connected();
      },
    };
  }

  deliver(most = Infinity): void {
    for (const { channel, payload } of this.#way.splice(0, most))
      for (const end of this.#ends) if (end.channel === channel && !end.cut) end.heard(payload);
  }
}

interface End {
  channel: string;
  heard(payload: string): void;
  connected(): void;
  cut: boolean;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An orchestrator: what its workers say is said at its hub. */
function place(exchange: Exchange) {
  const hub = createDeltaHub(50);
  const here = new Set<string>();
  const { notices, cut } = exchange.end();
  let now = 0;
  const live = new LiveElsewhere({
    notices,
    hub,
    clock: { monotonic: () => now },
    isHere: (session) => here.has(session),
    failed: (error) => assert.fail(String(error)),
  });
  hub.onWatched((session, on) => live.watched(session, on));
  live.start();
  return { hub, here, live, cut, pass: (ms: number) => void (now += ms) };
}

describe("what is on its way, at another orchestrator", () => {
  it("is what the session's own shows or showed a moment ago, whatever moves, breaks and is lost (25 seeds)", async (test) => {
    test.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
    for (let seed = 1; seed <= 25; seed++) {
      const random = seededRandom(seed);
      const exchange = new Exchange();
      const places = [place(exchange), place(exchange), place(exchange)];
      const at = (index: number) => places[index] ?? assert.fail();
      const pass = async (ms: number): Promise<void> => {
        for (const { pass: passed } of places) passed(ms);
        test.mock.timers.tick(ms);
        await turn();
      };
      let owner = at(0);
      owner.here.add("a");
      let truth = new UnderWay();
      const shown = new Set<string>([look(truth)]);
      const watching: Array<{ view: UnderWay; leave(): void }> = [];
      const publish = (kind: Parameters<typeof truth.note>[0]): void => {
        truth.note(kind);
        shown.add(look(truth));
        owner.hub.publish("a", kind);
      };
      publish({ waiting: "model" });
      for (let step = 0; step < 150; step++) {
        const what = random.below(12);
        if (what <= 2) {
          for (let piece = random.below(20); piece >= 0; piece--) publish({ text: `${step}.${piece} ` });
        } else if (what === 3) {
          publish({ waiting: `tool ${step}` });
          for (let piece = random.below(20); piece >= 0; piece--) publish({ callId: `c${step}`, output: `${step}.${piece} ` });
          if (random.below(2) === 0) publish({ waiting: "model" });
        } else if (what === 4) {
          const view = new UnderWay();
          const leave = at(random.below(3)).hub.subscribe("a", (deltas) => {
            noteAll(view, deltas);
            assert.ok(shown.has(look(view)), `seed ${seed}, step ${step}: a state that never was: ${look(view)}`);
          });
          watching.push({ view, leave });
        } else if (what === 5 && watching.length > 0) watching.splice(random.below(watching.length), 1)[0]?.leave();
        else if (what === 6) {
          const next = at(random.below(3));
          if (next === owner) continue;
          owner.here.delete("a");
          owner.hub.clear("a");
          owner = next;
          owner.here.add("a");
          truth = new UnderWay();
          owner.hub.clear("a");
          owner.live.given("a");
          publish({ waiting: "model" });
        } else if (what === 7) at(random.below(3)).cut(true);
        else if (what === 8) for (const one of places) one.cut(false);
        else if (what === 9) exchange.away = random.below(3) === 0;
        else if (what === 10) exchange.deliver(random.below(6));
        else await pass(random.below(2_000));
      }
      exchange.away = false;
      for (const one of places) one.cut(false);
      for (let round = 0; round < 20; round++) {
        await pass(1_000);
        exchange.deliver();
      }
      for (const { view, leave } of watching) {
        assert.equal(look(view), look(truth), `seed ${seed}`);
        leave();
      }
      for (let round = 0; round < 15; round++) {
        await pass(1_000);
        exchange.deliver();
      }
      const before = exchange.told;
      publish({ text: "nobody hears this" });
      await pass(20_000);
      assert.equal(exchange.told, before, "nothing is said when nobody watches");
      assert.deepEqual(
        places.map(({ hub }) => hub.isWatched("a")),
        [false, false, false],
        `seed ${seed}: nothing is left behind`,
      );
      for (const { live } of places) live.stop();
    }
  });

  it("is left out while too much of it waits, and comes whole later", async (test) => {
    test.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
    const exchange = new Exchange();
    const [near, far] = [place(exchange), place(exchange)];
    for (let n = 0; n < 200; n++) far.here.add(`s${n}`);
    const views = [...far.here].map((session) => {
      const view = new UnderWay();
      near.hub.subscribe(session, (deltas) => noteAll(view, deltas));
      return { session, view };
    });
    const pass = async (): Promise<void> => {
      test.mock.timers.tick(50);
      await turn();
      exchange.deliver();
    };
    for (let n = 0; n < 4; n++) await pass();
    let most = 0;
    for (let round = 0; round < 10; round++) {
      for (const session of far.here) far.hub.publish(session, { text: `${round}${"x".repeat(3_000)}` });
      const before = exchange.told;
      await pass();
      most = Math.max(most, exchange.told - before);
    }
    assert.ok(most < 400, `${most} notices at once`);
    for (let n = 0; n < 40; n++) await pass();
    const whole = Array.from({ length: 10 }, (_, round) => `${round}${"x".repeat(3_000)}`).join("");
    for (const { session, view } of views) assert.equal(textOf(view), whole, session);
    near.live.stop();
    far.live.stop();
  });
});

describe("notices of what is on its way", () => {
  const message = (text: string) =>
    create(DeltasMessageSchema, { session: "a", deltas: [create(DeltaSchema, { kind: { case: "text", value: text } })], anew: true });

  it("are short enough for the database, whatever is told, and give it back whole or not at all", () => {
    const piece = { source: "s", nth: 3, message: message("ä€😀\n".repeat(20_000)) };
    const frames = framesOf(piece);
    assert.ok(frames.length > 10 && frames.every((frame) => Buffer.byteLength(frame) < 8_000));
    const joiner = new FrameJoiner();
    const all = frames.map((frame) => joiner.take(frame, () => true));
    assert.deepEqual(all.at(-1), piece);
    assert.ok(all.slice(0, -1).every((one) => one === undefined));
    for (let missing = 0; missing < frames.length; missing++)
      assert.ok(
        frames.every((frame, index) => index === missing || joiner.take(frame, () => true) === undefined),
        `without ${missing}`,
      );
    for (const odd of ["", "\n", "s\na\n0\n0\n1\nnot one", "s\nb\n0\n0\n1\n", "s\na\n0\n0\n99999\nAAAA"])
      assert.equal(joiner.take(odd, (session) => session === "a")?.message.deltas.length ?? 0, 0);
  });

  it("ask for as many sessions as there are, and are understood by those who know them alone", () => {
    const asker = "0".repeat(32);
    const sessions = Array.from({ length: 1_000 }, (_, n) => `ses_${n}`);
    const frames = requestFrames({ kind: "want", asker, sessions });
    assert.ok(frames.every((frame) => Buffer.byteLength(frame) < 8_000));
    assert.deepEqual(
      frames.flatMap((frame) => parseRequest(frame)?.sessions ?? []),
      sessions,
    );
    for (const odd of ["", `later\n${asker}\na`, "want\nx; LISTEN y\na"]) assert.equal(parseRequest(odd), undefined);
  });
});

function noteAll(view: UnderWay, deltas: Delta[]): void {
  for (const delta of deltas) {
    const kind = kindOf(delta);
    if (kind !== undefined) view.note(kind);
  }
}

/** What is shown of it: what the session waits for, text and outputs. */
function look(view: UnderWay): string {
  return JSON.stringify(view.told().map(({ kind }) => (kind.case === "output" ? [kind.value.callId, kind.value.text] : kind.value)));
}

function textOf(view: UnderWay): string {
  return view
    .told()
    .flatMap(({ kind }) => (kind.case === "text" ? [kind.value] : []))
    .join("");
}
