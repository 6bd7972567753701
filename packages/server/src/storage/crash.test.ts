import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { type Event, GuildError, type Lease, type SessionKey } from "@guildhall/core";
import { appendNotices, message, type Random, readAll, seededRandom, seqs, startLeased, textOf, upTo } from "@guildhall/core/testing";

import { STORAGE_FAULT_POINTS } from "./fault-points.ts";
import type { Storage } from "./open-storage.ts";
import { Postgres } from "./postgres.ts";
import { temporaryStorage, type TemporaryStorage } from "./testing/temporary-storage.ts";
import type { WriterJob } from "./testing/writer.ts";

const WRITERS = 12;
const KILLS = 5;

describe("crashes", () => {
  let temporary: TemporaryStorage;
  before(async () => (temporary = await temporaryStorage()));
  after(() => temporary.close());

  it("of the database lose nothing that was acknowledged, and leave nothing half", async (t) => {
    const random = seededRandom();
    t.diagnostic(`seed ${random.seed}`);
    const { storage, options } = temporary;
    const postgres = new Postgres({ ...options, binariesDir: options.dataDir });
    const writers = await Promise.all(upTo(WRITERS).map(async () => new Writer(storage, await startLeased(storage.log), random.fork())));
    const stop = new AbortController();
    const failed = new AbortController();
    const watched = writers.map((writer) => watchAll(storage, writer.key, stop.signal));
    const writing = Promise.all(writers.map((writer) => writer.run(stop.signal, failed.signal)));
    const killing = async () => {
      for (let kills = 0; kills < KILLS && !stop.signal.aborted; kills++) {
        await sleep(20 + random.below(120));
        const pid = postgres.pid();
        if (pid !== undefined) process.kill(pid, "SIGKILL");
        const acknowledged = total(writers);
        while (total(writers) < acknowledged + WRITERS && !stop.signal.aborted) await sleep(5);
      }
    };
    try {
      // A writer that fails ends the test at once: without it the others might wait for its share for ever.
      await Promise.race([killing(), writing]);
    } catch (error) {
      failed.abort();
      throw error;
    } finally {
      stop.abort();
    }
    await writing;
    const lost = writers.reduce((sum, writer) => sum + writer.unknown, 0);
    t.diagnostic(`${total(writers)} events acknowledged, ${lost} appends of unknown fate`);
    for (const [index, { key, told }] of writers.entries()) {
      const stored = await readAll(storage.log, key);
      assert.deepEqual(seqs(stored), upTo(stored.length));
      for (const [seq, text] of told) assert.equal(stored[seq - 1] && textOf(stored[seq - 1] as Event), text, `event ${seq}`);
      assertWhole(stored);
      assert.equal((await storage.log.getSession(key)).lastSeq, stored.length);
      const seen = (await watched[index]) ?? [];
      assert.deepEqual(seen, upTo(seen.length), "a watcher goes on across crashes without gap or duplicate");
    }
  });

  it("of the writing process, at every fault point, leave the log whole and the next process able to go on", async () => {
    const program = join(import.meta.dirname, "testing", "writer.ts");
    for (const point of STORAGE_FAULT_POINTS) {
      const { log } = temporary.storage;
      const { key, lease } = await startLeased(log);
      const job: WriterJob = { options: temporary.options, key, lease, faults: `${point}@2=kill` };
      const told = await acknowledged(fork(program, { execArgv: [] }), job);
      const stored = await readAll(log, key);
      assert.deepEqual(seqs(stored), upTo(stored.length), point);
      for (const [seq, text] of told) assert.equal(textOf(stored[seq - 1] as Event), text, point);
      assert.ok(stored.length > 1, point);
      const taken = await log.acquireLease(key, "worker-2", 60_000, { takeover: true });
      assert.deepEqual(seqs(await appendNotices(log, taken, stored.length, "after")), [stored.length + 1], point);
    }
  });
});

/** Appends batches of three to one session until told to stop, reading again whenever an answer was lost. */
class Writer {
  readonly key: SessionKey;
  readonly told = new Map<number, string>();
  unknown = 0;
  readonly #storage: Storage;
  readonly #lease: Lease;
  readonly #random: Random;

  constructor(storage: Storage, session: { key: SessionKey; lease: Lease }, random: Random) {
    this.#storage = storage;
    this.key = session.key;
    this.#lease = session.lease;
    this.#random = random;
  }

  /** `failed`: nothing is waited for any longer. */
  async run(signal: AbortSignal, failed: AbortSignal): Promise<void> {
    const { log } = this.#storage;
    let last = 1;
    for (let batch = 0; !signal.aborted; batch++) {
      try {
        const isInput = this.#random.below(6) === 0;
        const events = isInput
          ? await log.appendInput(this.key, "person:ada", [message(`${batch} 1/1`, `m${batch}`)])
          : await appendNotices(log, this.#lease, last, `${batch} 1/3`, `${batch} 2/3`, `${batch} 3/3`);
        for (const event of events) this.told.set(event.seq, textOf(event));
        last = events.at(-1)?.seq ?? last;
      } catch (error) {
        if (!GuildError.is(error, "unavailable")) throw error;
        this.unknown++;
        last = await this.#lastStored(failed);
      }
    }
  }

  /** However long the server takes to come back: a machine that does much else may need more than the log's own patience. */
  async #lastStored(failed: AbortSignal): Promise<number> {
    for (;;) {
      try {
        return (await this.#storage.log.getSession(this.key)).lastSeq;
      } catch (error) {
        // A server that does not come back at all fails the test instead of keeping it for ever.
        if (!GuildError.is(error, "unavailable") || failed.aborted) throw error;
      }
    }
  }
}

function total(writers: Writer[]): number {
  return writers.reduce((sum, writer) => sum + writer.told.size, 0);
}

/** No append is there in part. */
function assertWhole(stored: Event[]): void {
  const texts = stored.slice(1).map(textOf);
  while (texts.length > 0) {
    const [batch, count] = (texts[0] ?? "").split(" 1/");
    const length = Number(count);
    assert.deepEqual(
      texts.splice(0, length),
      upTo(length).map((n) => `${batch} ${n}/${length}`),
    );
  }
}

async function watchAll(storage: Storage, key: SessionKey, signal: AbortSignal): Promise<number[]> {
  const seen: number[] = [];
  for await (const events of storage.log.watch(key, 1, signal)) seen.push(...seqs(events));
  return seen;
}

async function acknowledged(child: ChildProcess, job: WriterJob): Promise<Map<number, string>> {
  const told = new Map<number, string>();
  child.on("message", ([seq, text]: [number, string]) => told.set(seq, text));
  child.send(job);
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
  assert.equal(signal, "SIGKILL", `${job.faults}: the process ended with ${code}`);
  return told;
}
