import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { GuildError } from "@guildhall/core";
import { appendNotices, eventLogContract, freshName, message, started, startLeased, turnEnd } from "@guildhall/core/testing";
import { TurnEndReason } from "@guildhall/protocol";

import { Database } from "./database.ts";
import { PostgresEventLog } from "./event-log.ts";
import { Postgres } from "./postgres.ts";
import { temporaryStorage, type TemporaryStorage } from "./testing/temporary-storage.ts";

eventLogContract("PostgreSQL of our own", async () => {
  const temporary = await temporaryStorage();
  const peer = await temporary.open();
  return { log: temporary.storage.log, peer: peer.log, close: () => temporary.close() };
});

eventLogContract("PostgreSQL by its address", async () => {
  const temporary = await temporaryStorage();
  const { runtimeDir } = temporary.options;
  const databaseUrl = `postgres://guildhall@localhost/postgres?host=${encodeURIComponent(`${runtimeDir}/pg`)}`;
  const [one, two] = [await temporary.open({ databaseUrl }), await temporary.open({ databaseUrl })];
  assert.equal((await one.describe()).kind, "url");
  return { log: one.log, peer: two.log, close: () => temporary.close() };
});

eventLogContract("PostgreSQL without LISTEN", async () => {
  const temporary = await temporaryStorage();
  const database = new Database({ address: () => new Postgres({ ...temporary.options, binariesDir: "" }).ensure() });
  const [log, peer] = [new PostgresEventLog({ database, listen: false }), new PostgresEventLog({ database, listen: false })];
  const close = async () => {
    await Promise.all([log.close(), peer.close()]);
    await database.close();
    await temporary.close();
  };
  return { log, peer, close };
});

describe("PostgreSQL event log", () => {
  let temporary: TemporaryStorage;
  before(async () => (temporary = await temporaryStorage()));
  after(() => temporary.close());

  it("takes any text in titles, summaries and message ids", async () => {
    const { log } = temporary.storage;
    const key = { tenant: "local", session: freshName("ses") };
    const events = [started(), message("zero \0", "id \0"), turnEnd(TurnEndReason.FAILED, "zero \0")];
    const created = await log.createSession({ ...key, title: "zero \0", workspace: "/w", actor: "p", events });
    assert.equal(created.title, "zero \u{FFFD}");
    assert.equal(created.lastTurnEnd?.summary, "zero \u{FFFD}");
    assert.equal((await log.appendInput(key, "p", [message("again", "id \0")]))[0]?.seq, 2);
    const long = "x".repeat(100_000);
    const [first] = await log.appendInput(key, "p", [message("long", long)]);
    const [second] = await log.appendInput(key, "p", [message("long", long)]);
    assert.equal(first?.seq, second?.seq);
  });

  it("refuses names that the database could not hold", async () => {
    const { log } = temporary.storage;
    for (const session of ["x".repeat(1000), "a\nb", "a\0b"]) {
      const create = log.createSession({ tenant: "local", session, title: "", workspace: "/w", actor: "p", events: [started()] });
      await assert.rejects(create, (error) => GuildError.is(error, "invalid_argument"));
    }
  });

  it("gathers many more appends than a transaction holds", async () => {
    const { log } = temporary.storage;
    const sessions = await Promise.all(Array.from({ length: 200 }, () => startLeased(log)));
    const appended = await Promise.all(
      sessions.flatMap(({ lease }) => [appendNotices(log, lease, 1, "x".repeat(100_000)), appendNotices(log, lease, 2, "second")]),
    );
    assert.deepEqual(
      appended.map((events) => events[0]?.seq),
      sessions.flatMap(() => [2, 3]),
    );
  });

  it("ends watches and refuses appends once it is closed", async () => {
    const own = await temporary.open();
    const { key, lease } = await startLeased(own.log);
    const waiting = own.log.watch(key, 2, new AbortController().signal)[Symbol.asyncIterator]().next();
    const ended = assert.rejects(waiting, (error) => GuildError.is(error, "unavailable"));
    await own.close();
    await ended;
    await assert.rejects(appendNotices(own.log, lease, 1, "x"), (error) => GuildError.is(error, "unavailable"));
  });
});
