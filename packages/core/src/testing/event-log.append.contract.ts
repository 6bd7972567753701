import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { toBinary } from "@bufbuild/protobuf";
import { EventSchema } from "@guildhall/protocol";

import { GuildError } from "../errors.ts";
import type { EventLog } from "../ports/event-log.ts";
import { appendNotices, message, notice, readAll, rejects, seqs, startLeased, textOf, upTo } from "./event-log.samples.ts";

/** The promises of `append` and `read`; part of eventLogContract. */
export function eventLogAppendContract(logs: () => { log: EventLog; peer: EventLog }): void {
  describe("append", () => {
    it("gives positions, time, epoch and actor, and reads back what was written", async () => {
      const { log, peer } = logs();
      const { key, lease } = await startLeased(log);
      const appended = await appendNotices(log, lease, 1, "one", "two", "three");
      assert.deepEqual(seqs(appended), [2, 3, 4]);
      assert.ok(appended.every((event) => event.epoch === lease.epoch && event.actor === "worker:1"));
      const stored = await peer.read(key, 2, 10);
      assert.deepEqual(
        stored.map((event) => toBinary(EventSchema, event)),
        appended.map((event) => toBinary(EventSchema, event)),
      );
      const record = await peer.getSession(key);
      assert.equal(record.lastSeq, 4);
      assert.ok(record.updated >= record.created);
    });

    it("throws sequence_moved for any other expectation, and stores nothing of it", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      await appendNotices(log, lease, 1, "one");
      for (const wrong of [0, 1, 3, 100]) await rejects("sequence_moved", appendNotices(log, lease, wrong, "a", "b"));
      assert.deepEqual((await readAll(log, key)).map(textOf), ["", "one"]);
    });

    it("throws sequence_moved when an input came between", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      await log.appendInput(key, "person:ada", [message("wait")]);
      await rejects("sequence_moved", appendNotices(log, lease, 1, "one"));
      assert.deepEqual(seqs(await appendNotices(log, lease, 2, "one")), [3]);
    });

    it("lets exactly one of many writers with the same expectation win, again and again", async () => {
      const { log, peer } = logs();
      const { key, lease } = await startLeased(log);
      for (let round = 1; round <= 10; round++) {
        const results = await Promise.allSettled(
          upTo(8).map((writer) => appendNotices(writer % 2 ? log : peer, lease, round, `${round}/${writer}`)),
        );
        assert.equal(results.filter((result) => result.status === "fulfilled").length, 1);
        for (const result of results) {
          if (result.status === "rejected") assert.ok(GuildError.is(result.reason, "sequence_moved"), String(result.reason));
        }
      }
      assert.deepEqual(seqs(await readAll(log, key)), upTo(11));
    });

    it("keeps sessions apart: a refused append fails none of those beside it", async () => {
      const { log } = logs();
      const sessions = await Promise.all(upTo(20).map(() => startLeased(log)));
      const results = await Promise.allSettled(
        sessions.map(({ lease }, index) => appendNotices(log, lease, index % 3 === 0 ? 7 : 1, `n${index}`)),
      );
      for (const [index, result] of results.entries()) {
        assert.equal(result.status, index % 3 === 0 ? "rejected" : "fulfilled", `append ${index}`);
      }
      for (const [index, { key }] of sessions.entries()) {
        assert.deepEqual(seqs(await log.read(key, 1, 10)), index % 3 === 0 ? [1] : [1, 2]);
      }
    });

    it("refuses an append without events", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      await rejects("invalid_argument", log.append({ ...key, expectedSeq: 1, epoch: lease.epoch, actor: "w", events: [] }));
      await rejects("invalid_argument", log.appendInput(key, "p", []));
    });

    it("keeps fields that a newer version wrote, byte for byte", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const body = notice("from tomorrow");
      const unknown = [{ no: 1999, wireType: 2, data: Uint8Array.of(3, 1, 2, 3) }];
      body.value.$unknown = unknown;
      await log.append({ ...key, expectedSeq: 1, epoch: lease.epoch, actor: "w", events: [body] });
      const [event] = await log.read(key, 2, 1);
      assert.deepEqual(event?.body.value?.$unknown, unknown);
    });

    it("takes large events and any text", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const texts = ["", "quote ' \" \\ { } , NULL", "naïve ✓ 🏰\n\t\u0001", "x".repeat(600_000)];
      await appendNotices(log, lease, 1, ...texts);
      assert.deepEqual((await log.read(key, 2, 10)).map(textOf), texts);
    });
  });

  describe("read", () => {
    it("reads in order from a position, at most as many as asked", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      await appendNotices(log, lease, 1, ...upTo(30).map(String));
      assert.deepEqual(seqs(await log.read(key, 1, 5)), [1, 2, 3, 4, 5]);
      assert.deepEqual(seqs(await log.read(key, 0, 2)), [1, 2]);
      assert.deepEqual(seqs(await log.read(key, 29, 100)), [29, 30, 31]);
      assert.deepEqual(await log.read(key, 32, 100), []);
    });
  });
}
