import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { GuildError } from "../errors.ts";
import type { EventLog } from "../ports/event-log.ts";
import {
  appendNotices,
  decision,
  freshName,
  message,
  readAll,
  seqs,
  startLeased,
  startSession,
  started,
  textOf,
  upTo,
} from "./event-log.samples.ts";

/** The promises of `appendInput`; part of eventLogContract. */
export function eventLogInputContract(logs: () => { log: EventLog; peer: EventLog }): void {
  describe("inputs", () => {
    it("stores a message once, whoever sends it how often", async () => {
      const { log, peer } = logs();
      const { session } = await startSession(log);
      const key = { tenant: "local", session };
      const sent = await Promise.all(
        upTo(10).map((n) => (n % 2 ? log : peer).appendInput(key, "person:ada", [message(`text ${n}`, "m1")])),
      );
      assert.equal(new Set(sent.flat().map((event) => event.seq)).size, 1);
      assert.equal(new Set(sent.flat().map(textOf)).size, 1);
      assert.equal((await readAll(log, key)).length, 2);
      const both = await log.appendInput(key, "person:ada", [message("again", "m1"), message("new", "m2")]);
      assert.deepEqual(seqs(both), [2, 3]);
      assert.equal((await log.getSession(key)).lastSeq, 3);
    });

    it("knows a message that the session was created with, and one twice in a call", async () => {
      const { log } = logs();
      const session = freshName("ses");
      const key = { tenant: "local", session };
      const goal = message("goal", "m0");
      await log.createSession({ ...key, title: "", workspace: "/w", actor: "p", events: [started(), goal] });
      assert.deepEqual(seqs(await log.appendInput(key, "p", [message("goal", "m0")])), [2]);
      assert.deepEqual(seqs(await log.appendInput(key, "p", [message("a", "m1"), message("b", "m1")])), [3, 3]);
    });

    it("stores every message without an id, and the same id in another session", async () => {
      const { log } = logs();
      const [one, two] = await Promise.all([startSession(log), startSession(log)]);
      assert.deepEqual(seqs(await log.appendInput(one, "p", [message("a"), message("a")])), [2, 3]);
      assert.deepEqual(seqs(await log.appendInput(one, "p", [message("a", "same")])), [4]);
      assert.deepEqual(seqs(await log.appendInput(two, "p", [message("a", "same")])), [2]);
    });

    it("keeps the first decision on an approval, also one appended under a lease", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const decisions = await Promise.all(upTo(6).map((n) => log.appendInput(key, "person:ada", [decision("apr_1", n % 2 === 0)])));
      assert.deepEqual(
        decisions.map((events) => seqs(events)),
        upTo(6).map(() => [2]),
      );
      await log.append({ ...key, expectedSeq: 2, epoch: lease.epoch, actor: "w", events: [decision("apr_2", false)] });
      const [kept] = await log.appendInput(key, "person:ada", [decision("apr_2", true)]);
      assert.equal(kept?.seq, 3);
      assert.equal(kept?.body.case === "approvalDecided" && kept.body.value.granted, false);
    });

    it("needs no lease, carries epoch 0 and interleaves with appends without a gap", async () => {
      const { log, peer } = logs();
      const { key, lease } = await startLeased(log);
      const worker = async () => {
        let last = 1;
        for (let done = 0; done < 20;) {
          try {
            last = (await appendNotices(log, lease, last, `step ${done}`)).at(-1)?.seq ?? 0;
            done++;
          } catch (error) {
            if (!GuildError.is(error, "sequence_moved")) throw error;
            last = (await log.getSession(key)).lastSeq;
          }
        }
      };
      const person = async () => {
        for (const n of upTo(20)) await peer.appendInput(key, "person:ada", [message(`message ${n}`, `m${n}`)]);
      };
      await Promise.all([worker(), person()]);
      const events = await readAll(log, key);
      assert.deepEqual(seqs(events), upTo(41));
      const inputs = events.filter((event) => event.body.case === "messageReceived");
      assert.ok(inputs.every((event) => event.epoch === 0));
      assert.deepEqual(
        inputs.map(textOf),
        upTo(20).map((n) => `message ${n}`),
      );
    });
  });
}
