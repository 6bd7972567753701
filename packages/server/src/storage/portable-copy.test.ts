import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { create, toBinary } from "@bufbuild/protobuf";
import { type ErrorCode, GuildError, type SessionKey } from "@guildhall/core";
import { appendNotices, digestOf, freshName, message, notice, readAll, started, startLeased, turnEnd } from "@guildhall/core/testing";
import { EventSchema, OperationSchema, TurnEndReason } from "@guildhall/protocol";

import type { Storage } from "./open-storage.ts";
import { temporaryStorage, type TemporaryStorage } from "./testing/temporary-storage.ts";

describe("portable copy", () => {
  let here: TemporaryStorage;
  let there: TemporaryStorage;
  let keys: SessionKey[];
  const large = Buffer.alloc(700_000, "content of a blob ");

  before(async () => {
    [here, there] = await Promise.all([temporaryStorage(), temporaryStorage()]);
    keys = await fill(here.storage, large);
  });
  after(() => Promise.all([here.close(), there.close()]));

  it("brings sessions, events and blobs to an empty database exactly as they were", async () => {
    const summary = await there.storage.importDatabase(here.storage.exportDatabase());
    assert.deepEqual(summary, { sessions: 3, events: 607, blobs: 2, operations: 700, crossings: 2, newEvents: 607, newBlobs: 2 });
    for (const key of keys) {
      const [from, to] = await Promise.all([here.storage.log.getSession(key), there.storage.log.getSession(key)]);
      assert.deepEqual(to, { ...from, leaseOwner: undefined, leaseExpires: undefined });
      assert.deepEqual(await encoded(there.storage, key), await encoded(here.storage, key));
    }
    const list = (storage: Storage) =>
      storage.log.listSessions({ tenant: "local", limit: 10 }).then((all) => all.map((one) => one.session));
    assert.deepEqual(await list(there.storage), await list(here.storage));
    const bytes = Buffer.concat(await Array.fromAsync(there.storage.blobs.get(digestOf(large))));
    assert.ok(bytes.equals(large));
    assert.deepEqual(await text(there.storage.exportDatabase()), await text(here.storage.exportDatabase()));
    assert.equal((await there.storage.border.report("local", { since: 0, session: "" })).redacted, 1n);
    assert.notEqual(await there.storage.knowledge.replica("local"), await here.storage.knowledge.replica("local"), "both may go on");
  });

  it("reads copies of before what is known was in them", async () => {
    const target = await temporaryStorage();
    try {
      const old = (await text(here.storage.exportDatabase()))
        .replace('"format":2', '"format":1')
        .split("\n")
        .filter((line) => !/^\{"(?:operation|crossing)"/.test(line))
        .join("\n")
        .replace(/,"operations":\d+,"crossings":\d+/, "");
      const { sessions, operations } = await target.storage.importDatabase(bytesOf(old));
      assert.deepEqual([sessions, operations], [3, 0]);
    } finally {
      await target.close();
    }
  });

  it("changes nothing when it is taken in again", async () => {
    await there.storage.importDatabase(here.storage.exportDatabase());
    const summary = await there.storage.importDatabase(here.storage.exportDatabase());
    assert.deepEqual(summary, { sessions: 3, events: 607, blobs: 2, operations: 700, crossings: 2, newEvents: 0, newBlobs: 0 });
  });

  it("adds what a session has grown by, and a repeated input is still known there", async () => {
    const target = await temporaryStorage();
    try {
      const [key] = keys as [SessionKey];
      const early = await text(here.storage.exportDatabase());
      await here.storage.log.appendInput(key, "person:ada", [message("more", "late")]);
      const late = await text(here.storage.exportDatabase());
      await target.storage.importDatabase(bytesOf(early));
      assert.equal((await target.storage.importDatabase(bytesOf(late))).newEvents, 1);
      assert.equal((await target.storage.importDatabase(bytesOf(early))).newEvents, 0);
      const record = await target.storage.log.getSession(key);
      assert.equal(record.lastSeq, 4);
      assert.equal(record.turnOpen, true);
      assert.equal((await target.storage.log.appendInput(key, "person:ada", [message("again", "late")]))[0]?.seq, 4);
      assert.equal((await target.storage.log.appendInput(key, "person:ada", [message("again", "m1")]))[0]?.seq, 2);
      const lease = await target.storage.log.acquireLease(key, "worker-9", 60_000);
      assert.ok(lease.epoch > record.epoch);
    } finally {
      await target.close();
    }
  });

  it("refuses a session that went another way here, and leaves it as it was", async () => {
    const target = await temporaryStorage();
    try {
      const [key] = keys as [SessionKey];
      await target.storage.log.createSession({ ...key, title: "", workspace: "/w", actor: "p", events: [started(), notice("other")] });
      await rejects("already_exists", target.storage.importDatabase(here.storage.exportDatabase()));
      assert.equal((await target.storage.log.getSession(key)).lastSeq, 2);
    } finally {
      await target.close();
    }
  });

  it("refuses what is no copy, a newer one, and one that is cut or damaged anywhere", async () => {
    const target = await temporaryStorage();
    try {
      const whole = await text(here.storage.exportDatabase());
      const take = (copy: string) => target.storage.importDatabase(bytesOf(copy));
      await rejects("invalid_argument", take(""));
      await rejects("invalid_argument", take("SELECT 1;\n"));
      await rejects("invalid_argument", take('{"event":1,"data":""}\n'));
      await rejects("version_mismatch", take(whole.replace('"format":2', '"format":3')));
      const lines = whole.split("\n");
      for (const kept of [1, 2, 3, 40, lines.length - 6, lines.length - 2]) {
        await rejects("corrupt", take(lines.slice(0, kept).join("\n")));
      }
      const without = (index: number) => lines.filter((_, at) => at !== index).join("\n");
      const blob = lines.findIndex((line) => line.startsWith('{"blob"'));
      for (const index of [3, 50, blob, blob + 1]) await rejects("corrupt", take(without(index)));
      await rejects("corrupt", take(whole.replace('"data":"', '"data":"//////')));
      assert.equal((await target.storage.importDatabase(bytesOf(whole))).sessions, 3);
    } finally {
      await target.close();
    }
  });
});

async function fill({ log, blobs, knowledge, border }: Storage, large: Uint8Array): Promise<SessionKey[]> {
  const first = { tenant: "local", session: freshName("ses") };
  await log.createSession({
    ...first,
    title: "first",
    workspace: "/w",
    actor: "person:ada",
    requestId: freshName("req"),
    events: [started(), message("goal", "m1"), turnEnd(TurnEndReason.DONE, "done")],
  });
  const { key: second, lease } = await startLeased(log);
  for (let seq = 1; seq < 600; seq += 100) await appendNotices(log, lease, seq, ...Array.from({ length: 100 }, (_, n) => `event ${n}`));
  const unknown = notice("from tomorrow");
  unknown.value.$unknown = [{ no: 1999, wireType: 2, data: Uint8Array.of(3, 1, 2, 3) }];
  await log.append({ ...second, expectedSeq: 601, epoch: lease.epoch, actor: "w", events: [unknown] });
  const third = { tenant: freshName("ten"), session: freshName("ses") };
  await log.createSession({
    ...third,
    title: "",
    workspace: "/v",
    parent: first.session,
    actor: "system",
    events: [started(), notice("x")],
  });
  await blobs.put(large, "text/plain");
  await blobs.put(Buffer.from("small"), "text/plain");
  await fillKnowledge({ knowledge, border }, third.tenant);
  return [first, second, third];
}

async function fillKnowledge({ knowledge, border }: Pick<Storage, "knowledge" | "border">, other: string): Promise<void> {
  for (const [tenant, many] of [
    ["local", 650],
    [other, 50],
  ] as const) {
    const replica = await knowledge.replica(tenant);
    const operations = Array.from({ length: many }, (_, at) =>
      create(OperationSchema, {
        id: freshName("kop"),
        replica,
        seq: BigInt(at + 1),
        time: { wallMs: BigInt(at), counter: 0 },
        actor: "person:ada",
        change: { case: "put", value: { id: `kno_${at}`, text: `Fact ${at}.` } },
      }),
    );
    await knowledge.append(tenant, operations);
    await border.record(tenant, [{ id: freshName("kop"), session: "ses_1", outcome: "redacted", reasons: new Map([["secret:x", 2]]) }]);
  }
}

async function encoded({ log }: Storage, key: SessionKey): Promise<string[]> {
  return (await readAll(log, key)).map((event) => Buffer.from(toBinary(EventSchema, event)).toString("hex"));
}

/** Without the time of the export. */
async function text(source: AsyncIterable<Uint8Array>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(source))
    .toString()
    .replace(/"created":"[^"]*"\}\n/, '"created":""}\n');
}

/** In pieces that fall anywhere. */
async function* bytesOf(copy: string): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(copy);
  for (let start = 0; start < bytes.length; start += 9973) yield bytes.subarray(start, start + 9973);
}

async function rejects(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(GuildError.is(error, code), String(error));
    return true;
  });
}
