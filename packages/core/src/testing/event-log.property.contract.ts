import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { GuildError } from "../errors.ts";
import type { EventLog, Lease, SessionKey } from "../ports/event-log.ts";
import { appendNotices, message, readAll, seqs, startLeased, textOf, upTo, watchUntil } from "./event-log.samples.ts";
import { type Random, seededRandom } from "./random.ts";

const SESSIONS = 4;
const ACTORS = 6;
const OPERATIONS = 25;

/** Random concurrent use by several workers and people, checked against what each of them was told; part of eventLogContract. */
export function eventLogPropertyContract(logs: () => { log: EventLog; peer: EventLog }): void {
  describe("any interleaving", () => {
    for (const seed of [1, 2, Math.floor(Math.random() * 2 ** 31)]) {
      it(`loses, repeats and reorders nothing (seed ${seed})`, async (t) => {
        t.diagnostic(`seed ${seed}`);
        const { log, peer } = logs();
        const sessions = await Promise.all(upTo(SESSIONS).map(async () => ({ ...(await startLeased(log)), told: new Map() })));
        const stop = new AbortController();
        const watches = sessions.map(({ key }) => collect(peer, key, stop.signal));
        await Promise.all(upTo(ACTORS).map((actor) => act(actor % 2 ? log : peer, actor, sessions, seededRandom(seed * ACTORS + actor))));
        for (const { key, told } of sessions) {
          const stored = await readAll(log, key, 17);
          assert.deepEqual(seqs(stored), upTo(stored.length), "sequences have no gap");
          const texts = new Map(stored.slice(1).map((event) => [event.seq, textOf(event)]));
          assert.deepEqual([...texts].toSorted(bySeq), [...told].toSorted(bySeq), "the log holds what was acknowledged, and nothing else");
          const epochs = stored.map((event) => event.epoch).filter((epoch) => epoch > 0);
          assert.deepEqual(
            epochs,
            epochs.toSorted((a, b) => a - b),
            "no old epoch writes after a new one",
          );
          assert.equal((await log.getSession(key)).lastSeq, stored.length);
          const seen = await watchUntil(log, key, 1, (events) => events.length >= stored.length);
          assert.deepEqual(seqs(seen), upTo(stored.length));
        }
        for (const [index, watch] of watches.entries()) {
          const expected = (await log.getSession(sessions[index]?.key ?? { tenant: "", session: "" })).lastSeq;
          await watch.reached(expected);
          assert.deepEqual(watch.seen, upTo(expected), "a watcher sees each event once, in order");
        }
        stop.abort();
        await Promise.all(watches.map((watch) => watch.ended));
      });
    }
  });
}

interface Shared {
  key: SessionKey;
  lease: Lease;
  /** What writers were told is stored: text by sequence. */
  told: Map<number, string>;
}

async function act(log: EventLog, actor: number, sessions: Shared[], random: Random): Promise<void> {
  for (const operation of upTo(OPERATIONS)) {
    const session = random.pick(sessions);
    const text = `${actor}.${operation}`;
    try {
      const kind = random.below(10);
      if (kind < 6) {
        const { lastSeq } = await log.getSession(session.key);
        const expected = random.below(8) === 0 ? lastSeq + random.below(3) - 1 : lastSeq;
        const texts = upTo(1 + random.below(3)).map((n) => `${text}.${n}`);
        note(session, await appendNotices(log, session.lease, expected, ...texts));
      } else if (kind < 8) {
        const id = random.below(3) === 0 ? `repeated-${random.below(3)}` : `${text}`;
        note(session, await log.appendInput(session.key, `person:${actor}`, [message(text, id)]));
      } else if (kind < 9) {
        session.lease = await log.acquireLease(session.key, `worker-${actor}`, 60_000, { takeover: true });
      } else {
        session.lease = await log.renewLease(session.lease, 60_000);
      }
    } catch (error) {
      if (!GuildError.is(error, "sequence_moved") && !GuildError.is(error, "lease_lost")) throw error;
    }
  }
}

function note(session: Shared, events: Awaited<ReturnType<EventLog["append"]>>): void {
  for (const event of events) {
    const before = session.told.get(event.seq);
    assert.ok(before === undefined || before === textOf(event), `event ${event.seq} was told to be two things`);
    session.told.set(event.seq, textOf(event));
  }
}

function collect(log: EventLog, key: SessionKey, signal: AbortSignal) {
  const seen: number[] = [];
  const waiting = new Set<() => void>();
  const ended = (async () => {
    for await (const events of log.watch(key, 1, signal)) {
      seen.push(...seqs(events));
      for (const check of waiting) check();
    }
  })();
  const reached = async (count: number) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = () => (seen.length >= count ? resolve() : undefined);
    waiting.add(check);
    check();
    await Promise.race([promise, ended]);
    waiting.delete(check);
  };
  return { seen, ended, reached };
}

function bySeq(a: [number, string], b: [number, string]): number {
  return a[0] - b[0];
}
