import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { GuildError } from "@guildhall/core";
import { freshName, message, started, turnEnd } from "@guildhall/core/testing";
import { TaskSpecSchema, TaskState, TurnEndReason } from "@guildhall/protocol";

import { Database } from "./database.ts";
import { Postgres } from "./postgres.ts";
import type { TaskRecord } from "./task-store.ts";
import { temporaryStorage, type TemporaryStorage } from "./testing/temporary-storage.ts";

const tenant = "local";

function task(more: Partial<TaskRecord> = {}, project = ""): TaskRecord {
  return {
    tenant,
    id: freshName("tsk"),
    graph: freshName("grf"),
    spec: create(TaskSpecSchema, { name: "one", goal: "mend it", project }),
    state: TaskState.QUEUED,
    reason: "",
    priority: 50,
    attempt: 0,
    epoch: 0,
    session: undefined,
    worker: undefined,
    claimOwner: undefined,
    submitted: new Date(),
    started: undefined,
    ended: undefined,
    ...more,
  };
}

const claim = { worker: "wrk_1", owner: "orc_1", claimMs: 10_000 };

function session(id: string) {
  return { tenant, session: id, title: "t", workspace: "/w", actor: "system", events: [started(), message("mend it", freshName("msg"))] };
}

describe("tasks in the database", () => {
  let temporary: TemporaryStorage;
  before(async () => (temporary = await temporaryStorage()));
  after(() => temporary.close());

  it("are stored all together, and once a request", async () => {
    const { tasks } = temporary.storage;
    const first = [task(), task()];
    const request = freshName("req");
    assert.equal((await tasks.insert(tenant, first, request)).length, 2);
    const again = await tasks.insert(tenant, [task()], request);
    assert.deepEqual(new Set(again.map(({ id }) => id)), new Set(first.map(({ id }) => id)));
    assert.deepEqual((await tasks.get(tenant, first[0]?.id ?? "")).spec, first[0]?.spec);
    await assert.rejects(tasks.get(tenant, "tsk_none"), (error) => GuildError.is(error, "not_found"));
  });

  it("go to one of several orchestrators, with their session, and end with its turn", async () => {
    const { tasks, log } = temporary.storage;
    const [one] = await tasks.insert(tenant, [task()]);
    assert.ok(one !== undefined);
    const ids = Array.from({ length: 4 }, () => freshName("ses"));
    const claims = await Promise.all(ids.map((id) => tasks.claim(one, claim, session(id))));
    const won = claims.filter((record) => record !== undefined);
    assert.equal(won.length, 1);
    assert.equal(won[0]?.epoch, 1);
    for (const [index, id] of ids.entries()) {
      if (claims[index] === undefined)
        await assert.rejects(log.getSession({ tenant, session: id }), (error) => GuildError.is(error, "not_found"));
    }
    const key = { tenant, session: won[0]?.session ?? "" };
    const lease = await log.acquireLease(key, "wrk_1", 60_000);
    await log.append({ ...key, expectedSeq: 2, epoch: lease.epoch, actor: "worker:1", events: [turnEnd(TurnEndReason.DONE, "mended")] });
    const ended = await tasks.get(tenant, one.id);
    assert.equal(ended.state, TaskState.SUCCEEDED);
    assert.equal(ended.reason, "mended");
    assert.ok(ended.ended !== undefined);
  });

  it("and leases do not last for longer than anybody asks for, though the database's clock was set back", async () => {
    const { tasks, log } = temporary.storage;
    const [one] = await tasks.insert(tenant, [task()]);
    assert.ok(one !== undefined);
    const key = { tenant, session: freshName("ses") };
    const running = await tasks.claim(one, { ...claim, claimMs: 7_200_000 }, session(key.session));
    await log.acquireLease(key, "a", 7_200_000);
    assert.ok(!(await tasks.abandoned(tenant)).some(({ id }) => id === one.id));
    assert.equal(await tasks.release(running ?? one, "nobody answers for it", true, "abandoned"), undefined, "for a moment it is");
    await assert.rejects(log.acquireLease(key, "b", 1_000), (error) => GuildError.is(error, "failed_precondition"));
    const database = new Database({ address: () => new Postgres({ ...temporary.options, binariesDir: "" }).ensure() });
    const [left] = await database.read<{ claim: string; lease: string }>({
      text: `SELECT extract(epoch FROM claim_expires_at - now()) AS claim, extract(epoch FROM lease_expires_at - now()) AS lease
             FROM guildhall.task JOIN guildhall.session USING (tenant_id, session_id) WHERE session_id = $1`,
      values: [key.session],
    });
    await database.close();
    assert.ok(Number(left?.claim) <= 15 && Number(left?.lease) <= 60, JSON.stringify(left));
  });

  it("have no late word of the worker before once another has them", async () => {
    const { tasks, log } = temporary.storage;
    const [one] = await tasks.insert(tenant, [task()]);
    const key = { tenant, session: freshName("ses") };
    const running = await tasks.claim(one ?? task(), claim, session(key.session));
    assert.ok(running !== undefined);
    const { epoch } = await log.acquireLease(key, "wrk_1", 60_000);
    const late = (expectedSeq: number) =>
      log.append({ ...key, expectedSeq, epoch, actor: "worker:wrk_1", events: [turnEnd(TurnEndReason.FAILED, "late")] });
    const waiting = await tasks.release(running, "its worker was lost", true, { owner: "orc_1" });
    await tasks.claim(waiting ?? running, { ...claim, worker: "wrk_2" });
    await assert.rejects(late(2), (error) => GuildError.is(error, "lease_lost"));
    assert.ok((await log.acquireLease(key, "wrk_2", 60_000, { takeover: true })).epoch > epoch + 1);
    await tasks.change(tenant, [{ id: running.id, from: [TaskState.RUNNING], to: TaskState.CANCELLED, reason: "" }]);
  });

  it("wait again when their worker is lost, under another epoch", async () => {
    const { tasks } = temporary.storage;
    const [one] = await tasks.insert(tenant, [task()]);
    assert.ok(one !== undefined);
    const running = await tasks.claim(one, { ...claim, claimMs: 1 }, session(freshName("ses")));
    assert.ok(running !== undefined);
    assert.ok((await tasks.abandoned(tenant)).some(({ id }) => id === one.id));
    assert.equal(await tasks.release(running, "not ours to say", true, { owner: "orc_2" }), undefined);
    const waiting = await tasks.release(running, "its orchestrator was lost", true, "abandoned");
    assert.equal(waiting?.state, TaskState.QUEUED);
    assert.equal(waiting?.attempt, 1);
    assert.equal(await tasks.release(running, "again", true, { owner: "orc_1" }), undefined);
    const second = await tasks.claim(waiting ?? one, claim);
    assert.equal(second?.epoch, 2);
    assert.equal(second?.session, running.session);
    assert.equal(await tasks.adopt(tenant, one.id, 1, "orc_2", 1_000), undefined);
    assert.equal((await tasks.adopt(tenant, one.id, 2, "orc_2", 1_000))?.claimOwner, "orc_2");
  });
});

describe("budgets in the database", () => {
  let temporary: TemporaryStorage;
  before(async () => (temporary = await temporaryStorage()));
  after(() => temporary.close());

  /** A running session whose task counts against `project`. */
  async function working(project: string): Promise<{ tenant: string; session: string; epoch: number }> {
    const { tasks } = temporary.storage;
    const [one] = await tasks.insert(tenant, [task({}, project)]);
    assert.ok(one !== undefined);
    const id = freshName("ses");
    await tasks.claim(one, claim, session(id));
    return { tenant, session: id, epoch: 1 };
  }

  const amounts = (more: Partial<{ steps: number; tokens: number; costUsd: number; seconds: number }>) => ({
    steps: 0,
    tokens: 0,
    costUsd: 0,
    seconds: 0,
    ...more,
  });

  it("hold for all below them, and give back what is not spent", async () => {
    const { budgets } = temporary.storage;
    await budgets.set(tenant, "org", amounts({ tokens: 1_000 }));
    await budgets.set(tenant, "org/a", amounts({ tokens: 5_000 }));
    const [a, b] = [await working("org/a"), await working("org/b")];
    const first = await budgets.reserve(a, { tokens: 600 });
    await assert.rejects(
      budgets.reserve(b, { tokens: 600 }),
      (error) => GuildError.is(error, "resource_exhausted") && /org has 400/.test(error.message),
    );
    await budgets.settle(first, { tokens: 100 });
    // A second settling changes nothing.
    await budgets.settle(first, { tokens: 100 });
    const second = await budgets.reserve(b, { tokens: 600 });
    const [org, own] = await budgets.list(tenant);
    assert.equal(org?.reserved.tokens, 600);
    assert.equal(org?.spent.tokens, 100);
    assert.equal(own?.spent.tokens, 100);
    await budgets.settle(second, { tokens: 900 });
    await assert.rejects(budgets.reserve(a, {}), (error) => GuildError.is(error, "resource_exhausted"));
  });

  it("hold once what is asked for again under its name, and can be settled by either answer", async () => {
    const { budgets } = temporary.storage;
    await budgets.set(tenant, "again", amounts({ steps: 1 }));
    const session = await working("again");
    const asked = await Promise.all([1, 2, 3].map(() => budgets.reserve(session, { steps: 1 }, "rsv_again")));
    assert.deepEqual(
      asked.map(({ id }) => id),
      ["rsv_again", "rsv_again", "rsv_again"],
    );
    assert.equal((await budgets.list(tenant, "again"))[0]?.reserved.steps, 1);
    await budgets.settle({ id: "rsv_again" }, { steps: 1 });
    const [after] = await budgets.list(tenant, "again");
    assert.deepEqual([after?.reserved.steps, after?.spent.steps], [0, 1]);
  });

  it("hold nothing for a request that comes when its call was settled, through whichever orchestrator", async () => {
    const { budgets } = temporary.storage;
    await budgets.set(tenant, "late", amounts({ steps: 5 }));
    const session = await working("late");
    const { budgets: other } = await temporary.open();
    const { id } = await budgets.reserve(session, { steps: 1 }, "rsv_late");
    await other.settle({ id, askedAgain: true }, { steps: 1 });
    for (const ledger of [budgets, other]) {
      assert.equal((await ledger.reserve(session, { steps: 1 }, "rsv_late")).id, id);
      await ledger.settle({ id, askedAgain: true }, { steps: 1 });
    }
    const [after] = await budgets.list(tenant, "late");
    assert.deepEqual([after?.reserved.steps, after?.spent.steps], [0, 1]);
  });

  it("are never promised twice by calls at the same time", async () => {
    const { budgets } = temporary.storage;
    await budgets.set(tenant, "crowd", amounts({ steps: 10 }));
    const session = await working("crowd");
    const asked = await Promise.allSettled(Array.from({ length: 30 }, () => budgets.reserve(session, { steps: 1 })));
    assert.equal(asked.filter(({ status }) => status === "fulfilled").length, 10);
  });
});
