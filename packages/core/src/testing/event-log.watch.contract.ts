import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as tick } from "node:timers/promises";

import { GuildError } from "../errors.ts";
import type { EventLog } from "../ports/event-log.ts";
import { appendNotices, message, seqs, startLeased, upTo, watchUntil } from "./event-log.samples.ts";

/** The promises of `watch`; part of eventLogContract. */
export function eventLogWatchContract(logs: () => { log: EventLog; peer: EventLog }): void {
  describe("watch", () => {
    it("gives what is there and then what comes, once and in order", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      await appendNotices(log, lease, 1, "a", "b");
      const watched = watchUntil(log, key, 2, (events) => events.length === 6);
      await appendNotices(log, lease, 3, "c");
      await appendNotices(log, lease, 4, "d", "e");
      await log.appendInput(key, "person:ada", [message("f")]);
      assert.deepEqual(seqs(await watched), [2, 3, 4, 5, 6, 7]);
    });

    it("waits for a position that is not there yet", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const watched = watchUntil(log, key, 3, (events) => events.length >= 1);
      await tick();
      await appendNotices(log, lease, 1, "two");
      await appendNotices(log, lease, 2, "three");
      assert.deepEqual(seqs(await watched), [3]);
    });

    it("sees what another opener of the store appends", async () => {
      const { log, peer } = logs();
      const { key, lease } = await startLeased(log);
      const watched = watchUntil(log, key, 1, (events) => events.length === 41);
      const other = watchUntil(peer, key, 1, (events) => events.length === 41);
      for (let seq = 1; seq <= 40; seq += 2) {
        await appendNotices(seq % 4 === 1 ? peer : log, lease, seq, "x", "y");
      }
      assert.deepEqual(seqs(await watched), upTo(41));
      assert.deepEqual(seqs(await other), upTo(41));
    });

    it("has no gap or duplicate for readers that join at any moment of concurrent appends", async () => {
      const { log, peer } = logs();
      const { key, lease } = await startLeased(log);
      const total = 121;
      const readers: Array<Promise<number[]>> = [];
      const writing = (async () => {
        for (let seq = 1; seq < total; seq += 3) {
          await appendNotices(log, lease, seq, "a", "b", "c");
          if (seq % 4 === 1) readers.push(watchUntil(seq % 8 === 1 ? log : peer, key, 1, (all) => all.length >= total).then(seqs));
        }
      })();
      await writing;
      for (const read of await Promise.all(readers)) assert.deepEqual(read, upTo(total));
    });

    it("serves a reader that stands still while much is appended", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const stop = new AbortController();
      const watch = log.watch(key, 1, stop.signal)[Symbol.asyncIterator]();
      const seen = seqs((await watch.next()).value ?? []);
      for (let batch = 0; batch < 30; batch++) {
        await appendNotices(log, lease, 1 + batch * 50, ...upTo(50).map((n) => `${batch}/${n}`));
      }
      while (seen.length < 1501) {
        const { value, done } = await watch.next();
        assert.ok(!done);
        seen.push(...seqs(value));
      }
      assert.deepEqual(seen, upTo(1501));
      stop.abort();
      assert.equal((await watch.next()).done, true);
    });

    it("ends when its signal aborts: before it began, while it waits, and between two reads", async () => {
      const { log } = logs();
      const { key } = await startLeased(log);
      assert.equal((await log.watch(key, 1, AbortSignal.abort())[Symbol.asyncIterator]().next()).done, true);

      const waiting = new AbortController();
      const watch = log.watch(key, 2, waiting.signal)[Symbol.asyncIterator]();
      const next = watch.next();
      await tick();
      waiting.abort();
      assert.equal((await next).done, true);

      assert.deepEqual(seqs(await watchUntil(log, key, 1, () => true)), [1]);
    });

    it("can be left by its reader", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      for await (const events of log.watch(key, 1, new AbortController().signal)) {
        assert.deepEqual(seqs(events), [1]);
        break;
      }
      await appendNotices(log, lease, 1, "after");
    });

    it("keeps a watcher out of the log's way: an append resolves while nobody reads", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const stop = new AbortController();
      const watch = log.watch(key, 1, stop.signal)[Symbol.asyncIterator]();
      await watch.next();
      for (const seq of upTo(10)) await appendNotices(log, lease, seq, "x");
      stop.abort();
      const rest = await watch.next();
      assert.ok(rest.done === true || !GuildError.is(rest.value));
    });
  });
}
