import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { create, toBinary } from "@bufbuild/protobuf";
import { ControlRequestedSchema, Control, EventSchema, TurnEndReason } from "@guildhall/protocol";

import { GuildError, type ErrorCode } from "../errors.ts";
import type { EventLog, SessionKey } from "../ports/event-log.ts";
import { eventLogPropertyContract } from "./event-log.property.contract.ts";
import {
  appendNotices,
  decision,
  freshName,
  message,
  notice,
  readAll,
  seqs,
  startLeased,
  startSession,
  started,
  textOf,
  turnEnd,
  upTo,
} from "./event-log.samples.ts";
import { eventLogWatchContract } from "./event-log.watch.contract.ts";

/** What a suite runs against. */
export interface EventLogFixture {
  log: EventLog;
  /** A second opener of the same store, in this or another process; absent where the store has only one. */
  peer?: EventLog;
  close(): Promise<void>;
}

/** Every promise of the EventLog port. `makeFixture` is called once a suite; the suites use names of their own, so the store may hold other things. */
export function eventLogContract(name: string, makeFixture: () => Promise<EventLogFixture>): void {
  describe(`${name}: event log`, () => {
    let fixture: EventLogFixture;
    let log: EventLog;
    let peer: EventLog;
    before(async () => {
      fixture = await makeFixture();
      log = fixture.log;
      peer = fixture.peer ?? fixture.log;
    });
    after(() => fixture.close());
    const logs = () => ({ log, peer });

    sessionContract(logs);
    appendContract(logs);
    inputContract(logs);
    leaseContract(logs);
    eventLogWatchContract(logs);
    eventLogPropertyContract(logs);
  });
}

type Logs = () => { log: EventLog; peer: EventLog };

function sessionContract(logs: Logs): void {
  describe("sessions", () => {
    it("creates a session with its first events and answers with its row", async () => {
      const { log } = logs();
      const session = freshName("ses");
      const created = await log.createSession({
        tenant: "local",
        session,
        title: "mend the test",
        workspace: "/w",
        parent: "ses_parent",
        actor: "person:ada",
        events: [started(), message("mend the test", "m1")],
      });
      assert.equal(created.lastSeq, 2);
      assert.equal(created.title, "mend the test");
      assert.equal(created.workspace, "/w");
      assert.equal(created.parent, "ses_parent");
      assert.equal(created.epoch, 0);
      assert.equal(created.leaseOwner, undefined);
      assert.equal(created.leaseExpires, undefined);
      assert.equal(created.turnOpen, true);
      assert.equal(created.lastTurnEnd, undefined);
      assert.ok(created.created instanceof Date && created.updated instanceof Date);
      assert.deepEqual(await log.getSession({ tenant: "local", session }), created);
      const events = await log.read({ tenant: "local", session }, 1, 10);
      assert.deepEqual(seqs(events), [1, 2]);
      assert.deepEqual(
        events.map((event) => [event.actor, event.epoch, event.body.case]),
        [
          ["person:ada", 0, "sessionStarted"],
          ["person:ada", 0, "messageReceived"],
        ],
      );
      assert.ok(events[0]?.time !== undefined);
    });

    it("answers a repeated request id with the first session, also when the requests run side by side", async () => {
      const { log, peer } = logs();
      const requestId = freshName("req");
      const request = (session: string) => ({
        tenant: "local",
        session,
        title: "",
        workspace: "/w",
        actor: "person:ada",
        events: [started()],
        requestId,
      });
      const names = upTo(8).map(() => freshName("ses"));
      const created = await Promise.all(names.map((name, index) => (index % 2 ? log : peer).createSession(request(name))));
      assert.equal(new Set(created.map((record) => record.session)).size, 1);
      const later = await log.createSession(request(freshName("ses")));
      assert.equal(later.session, created[0]?.session);
      assert.equal(later.lastSeq, 1);
      const others = names.filter((name) => name !== later.session);
      for (const name of others) await rejects("not_found", log.getSession({ tenant: "local", session: name }));
    });

    it("keeps the request ids of tenants apart", async () => {
      const { log } = logs();
      const requestId = freshName("req");
      const make = (tenant: string) =>
        log.createSession({
          tenant,
          session: freshName("ses"),
          title: "",
          workspace: "/w",
          actor: "system",
          events: [started()],
          requestId,
        });
      assert.notEqual((await make(freshName("ten"))).session, (await make(freshName("ten"))).session);
    });

    it("refuses a taken id, an empty name and a log that does not begin with SessionStarted", async () => {
      const { log } = logs();
      const { session } = await startSession(log);
      await rejects("already_exists", startSession(log, { session }));
      assert.equal((await startSession(log, { tenant: freshName("ten"), session })).session, session);
      await rejects("invalid_argument", startSession(log, { session: "" }));
      const wrong = { tenant: "local", title: "", workspace: "/w", actor: "system" };
      await rejects("invalid_argument", log.createSession({ ...wrong, session: freshName("ses"), events: [] }));
      await rejects("invalid_argument", log.createSession({ ...wrong, session: freshName("ses"), events: [notice("x")] }));
    });

    it("says not_found of an unknown session, everywhere", async () => {
      const { log } = logs();
      const key = { tenant: "local", session: freshName("ses") };
      const lease = { ...key, owner: "w", epoch: 1, expires: new Date() };
      await rejects("not_found", log.getSession(key));
      await rejects("not_found", log.read(key, 1, 10));
      await rejects("not_found", log.append({ ...key, expectedSeq: 0, epoch: 1, actor: "w", events: [notice("x")] }));
      await rejects("not_found", log.appendInput(key, "p", [message("x")]));
      await rejects("not_found", log.acquireLease(key, "w", 1000));
      await rejects("not_found", log.renewLease(lease, 1000));
      await rejects("not_found", log.watch(key, 1, new AbortController().signal)[Symbol.asyncIterator]().next());
      const { session } = await startSession(log);
      await rejects("not_found", log.getSession({ tenant: freshName("ten"), session }));
    });

    it("lists newest first, in pages, by workspace and tenant", async () => {
      const { log } = logs();
      const tenant = freshName("ten");
      const made: string[] = [];
      for (const workspace of ["/a", "/b", "/a", "/a", "/b"]) {
        const session = freshName("ses");
        await log.createSession({ tenant, session, title: "", workspace, actor: "system", events: [started()] });
        made.unshift(session);
      }
      // Appending does not change a session's place, so that pages stay whole.
      await log.appendInput({ tenant, session: made[4] ?? "" }, "person:ada", [message("x")]);
      const first = await log.listSessions({ tenant, limit: 2 });
      const second = await log.listSessions({ tenant, limit: 2, before: first[1]?.session ?? "" });
      const third = await log.listSessions({ tenant, limit: 2, before: second[1]?.session ?? "" });
      assert.deepEqual(
        [...first, ...second, ...third].map((record) => record.session),
        made,
      );
      assert.deepEqual(
        (await log.listSessions({ tenant, limit: 10, workspace: "/b" })).map((record) => record.session),
        [made[0], made[3]],
      );
      assert.deepEqual(await log.listSessions({ tenant: freshName("ten"), limit: 10 }), []);
      await rejects("not_found", log.listSessions({ tenant, limit: 2, before: freshName("ses") }));
    });

    it("tells from the events whether a turn is open and how the last one ended", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const turn = async () => {
        const { turnOpen, lastTurnEnd } = await log.getSession(key);
        return { turnOpen, lastTurnEnd };
      };
      assert.deepEqual(await turn(), { turnOpen: false, lastTurnEnd: undefined });
      await log.appendInput(key, "person:ada", [message("go")]);
      assert.deepEqual(await turn(), { turnOpen: true, lastTurnEnd: undefined });
      const ended = { turnOpen: false, lastTurnEnd: { reason: TurnEndReason.DONE, summary: "mended" } };
      const end = turnEnd(TurnEndReason.DONE, "mended");
      await log.append({ ...key, expectedSeq: 2, epoch: lease.epoch, actor: "w", events: [notice("x"), end] });
      assert.deepEqual(await turn(), ended);
      await appendNotices(log, lease, 4, "not work");
      const interrupt = create(ControlRequestedSchema, { control: Control.INTERRUPT });
      await log.appendInput(key, "person:ada", [{ case: "controlRequested", value: interrupt }]);
      assert.deepEqual(await turn(), ended);
      const resume = create(ControlRequestedSchema, { control: Control.RESUME });
      await log.appendInput(key, "person:ada", [{ case: "controlRequested", value: resume }]);
      assert.deepEqual(await turn(), { turnOpen: true, lastTurnEnd: undefined });
    });
  });
}

function appendContract(logs: Logs): void {
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

function inputContract(logs: Logs): void {
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

function leaseContract(logs: Logs): void {
  describe("leases", () => {
    it("refuses an append without a lease, and one of an epoch that was never granted", async () => {
      const { log } = logs();
      const { session } = await startSession(log);
      const append = (epoch: number) => log.append({ tenant: "local", session, expectedSeq: 1, epoch, actor: "w", events: [notice("x")] });
      await rejects("lease_lost", append(0));
      await rejects("lease_lost", append(1));
      await log.acquireLease({ tenant: "local", session }, "worker-1", 60_000);
      await rejects("lease_lost", append(2));
      await append(1);
    });

    it("shows its holder in the row", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const record = await log.getSession(key);
      assert.equal(record.leaseOwner, "worker-1");
      assert.equal(record.leaseExpires?.getTime(), lease.expires.getTime());
      assert.equal(record.epoch, lease.epoch);
      await log.releaseLease(lease);
      const released = await log.getSession(key);
      assert.equal(released.leaseOwner, undefined);
      assert.equal(released.leaseExpires, undefined);
      assert.equal(released.epoch, lease.epoch);
    });

    it("refuses a second owner while it runs, and fences the first after a takeover", async () => {
      const { log, peer } = logs();
      const { key, lease } = await startLeased(log);
      await rejects("failed_precondition", peer.acquireLease(key, "worker-2", 60_000));
      const taken = await peer.acquireLease(key, "worker-2", 60_000, { takeover: true });
      assert.ok(taken.epoch > lease.epoch);
      await rejects("lease_lost", appendNotices(log, lease, 1, "late"));
      // Whoever lost the lease is told so, wherever the sequence stands.
      await rejects("lease_lost", appendNotices(log, lease, 9, "late"));
      await rejects("lease_lost", log.renewLease(lease, 60_000));
      await log.releaseLease(lease);
      assert.equal((await log.getSession(key)).leaseOwner, "worker-2");
      assert.deepEqual(seqs(await appendNotices(peer, taken, 1, "mine")), [2]);
    });

    it("raises the epoch at every acquisition, by the same owner too", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const again = await log.acquireLease(key, "worker-1", 60_000);
      assert.ok(again.epoch > lease.epoch);
      await rejects("lease_lost", appendNotices(log, lease, 1, "old"));
      await log.releaseLease(again);
      assert.ok((await log.acquireLease(key, "worker-2", 60_000)).epoch > again.epoch);
    });

    it("ends by itself, after which it can neither append nor be renewed", async () => {
      const { log } = logs();
      const { session } = await startSession(log);
      const key: SessionKey = { tenant: "local", session };
      const lease = await log.acquireLease(key, "worker-1", 5);
      await sleep(30);
      await rejects("lease_lost", appendNotices(log, lease, 1, "late"));
      await rejects("lease_lost", log.renewLease(lease, 60_000));
      assert.equal((await log.getSession(key)).leaseOwner, undefined);
      await log.releaseLease(lease);
      const next = await log.acquireLease(key, "worker-2", 60_000);
      assert.ok(next.epoch > lease.epoch);
    });

    it("lasts longer once renewed", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const renewed = await log.renewLease(lease, 120_000);
      assert.equal(renewed.epoch, lease.epoch);
      assert.ok(renewed.expires > lease.expires);
      assert.deepEqual(seqs(await appendNotices(log, lease, 1, "x")), [2]);
      assert.equal((await log.getSession(key)).leaseExpires?.getTime(), renewed.expires.getTime());
    });

    it("grants a free session to exactly one of many owners", async () => {
      const { log, peer } = logs();
      const { session } = await startSession(log);
      const key: SessionKey = { tenant: "local", session };
      const results = await Promise.allSettled(upTo(8).map((n) => (n % 2 ? log : peer).acquireLease(key, `worker-${n}`, 60_000)));
      assert.equal(results.filter((result) => result.status === "fulfilled").length, 1);
      for (const result of results) {
        if (result.status === "rejected") assert.ok(GuildError.is(result.reason, "failed_precondition"), String(result.reason));
      }
    });
  });
}

async function rejects(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(GuildError.is(error), `expected a GuildError, got ${String(error)}`);
    assert.equal(error.code, code, error.line);
    return true;
  });
}
