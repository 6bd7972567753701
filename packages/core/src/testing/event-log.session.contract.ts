import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { Control, ControlRequestedSchema, TurnEndReason } from "@guildhall/protocol";

import type { EventLog } from "../ports/event-log.ts";
import {
  appendNotices,
  freshName,
  message,
  notice,
  rejects,
  seqs,
  startLeased,
  startSession,
  started,
  turnEnd,
  upTo,
} from "./event-log.samples.ts";

/** The promises about sessions and their rows; part of eventLogContract. */
export function eventLogSessionContract(logs: () => { log: EventLog; peer: EventLog }): void {
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
