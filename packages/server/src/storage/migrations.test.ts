import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { GuildError } from "@guildhall/core";
import { appendNotices, message } from "@guildhall/core/testing";

import { Database } from "./database.ts";
import { PostgresEventLog } from "./event-log.ts";
import { migrate, MIGRATIONS, SCHEMA_VERSION } from "./migrations.ts";
import { Postgres } from "./postgres.ts";
import { GOLDEN_KEY, goldenBodies } from "./testing/golden-session.ts";
import { goldenSql } from "./testing/golden-sql.ts";

describe("migrations", () => {
  let root: string;
  let postgres: Postgres;
  const open: Database[] = [];
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "guildhall-migrations-"));
    // As root the server runs as another user, who must get to its programs.
    await chmod(root, 0o755);
    postgres = new Postgres({ dataDir: join(root, "data"), runtimeDir: join(root, "run"), binariesDir: join(root, "bin") });
  });
  after(async () => {
    await Promise.all(open.map((database) => database.close()));
    await postgres.stop();
    await rm(root, { recursive: true, force: true });
  });

  /** A database of its own on the one server, empty or as a golden file tells. */
  async function fresh(golden?: number): Promise<Database> {
    const name = `test_${open.length}`;
    const server = new Database({ address: () => postgres.ensure() });
    await server.write({ text: `CREATE DATABASE ${name}` });
    await server.close();
    const database = new Database({ address: async () => ({ ...(await postgres.ensure()), database: name }) });
    open.push(database);
    if (golden !== undefined) {
      const sql = readFileSync(join(import.meta.dirname, "golden", `v${golden}.sql`), "utf8");
      await database.borrow((client) => client.query(sql));
    }
    return database;
  }

  it("are numbered from 1 on, and each says from which version's code on it can be used", () => {
    for (const [index, { version, compatibleFrom }] of MIGRATIONS.entries()) {
      assert.equal(version, index + 1);
      assert.ok(compatibleFrom >= 1 && compatibleFrom <= version);
      if (index > 0) assert.ok(compatibleFrom <= index, "the version before must go on working: expand first, contract one release later");
    }
  });

  it("have a golden database for the present version", () => {
    const file = join(import.meta.dirname, "golden", `v${SCHEMA_VERSION}.sql`);
    assert.ok(existsSync(file), `write it: node ${join(import.meta.dirname, "testing", "golden-sql.ts")} > ${file}`);
    assert.equal(goldenSql(), readFileSync(file, "utf8"), "a released migration or encoding has changed");
  });

  it("make the schema once, however many processes begin at the same time", async () => {
    const database = await fresh();
    const others = Array.from({ length: 6 }, () => migrate(database));
    assert.deepEqual(new Set(await Promise.all(others)), new Set([SCHEMA_VERSION]));
    const applied = await database.read<{ version: number }>({ text: "SELECT version FROM guildhall.schema_version ORDER BY 1" });
    assert.deepEqual(
      applied.map((row) => row.version),
      MIGRATIONS.map((migration) => migration.version),
    );
  });

  for (const { version } of MIGRATIONS) {
    it(`are what they were when version ${version} was released`, async () => {
      const [golden, made] = [await fresh(version), await fresh()];
      await migrate(made, MIGRATIONS.slice(0, version));
      assert.deepEqual(await describeSchema(golden), await describeSchema(made));
    });

    it(`bring a database of version ${version} up to date with all that it holds`, async () => {
      const [database, newest] = [await fresh(version), await fresh()];
      await migrate(database);
      await migrate(newest);
      assert.deepEqual(await describeSchema(database), await describeSchema(newest));
      const log = new PostgresEventLog({ database });
      try {
        const record = await log.getSession(GOLDEN_KEY);
        assert.deepEqual(record.lastTurnEnd, { reason: 1, summary: "done" });
        const events = await log.read(GOLDEN_KEY, 1, 10);
        assert.deepEqual(
          events.map((event) => event.body),
          goldenBodies(),
        );
        assert.equal((await log.appendInput(GOLDEN_KEY, "p", [message("again", "msg_golden")]))[0]?.seq, 2);
        const lease = await log.acquireLease(GOLDEN_KEY, "worker-1", 60_000);
        assert.equal(lease.epoch, 4);
        assert.equal((await appendNotices(log, lease, 4, "new"))[0]?.seq, 5);
      } finally {
        await log.close();
      }
    });
  }

  it("refuse a schema that a newer Guildhall made its own, and work with one that is only wider", async () => {
    const database = await fresh(SCHEMA_VERSION);
    const next = SCHEMA_VERSION + 1;
    const record = (compatibleFrom: number) =>
      database.write({
        text: "INSERT INTO guildhall.schema_version VALUES ($1, $2, now())",
        values: [next + compatibleFrom, compatibleFrom],
      });
    await record(SCHEMA_VERSION);
    assert.ok((await migrate(database)) > SCHEMA_VERSION);
    await record(next);
    await assert.rejects(migrate(database), (error) => GuildError.is(error, "version_mismatch"));
    // What comes after is no way back to it.
    await database.write({ text: "INSERT INTO guildhall.schema_version VALUES ($1, $2, now())", values: [3 * next, 1] });
    await assert.rejects(migrate(database), (error) => GuildError.is(error, "version_mismatch"));
  });

  it("leave nothing behind of a step that fails", async () => {
    const database = await fresh();
    await migrate(database);
    const before = await describeSchema(database);
    const broken = {
      version: SCHEMA_VERSION + 1,
      compatibleFrom: SCHEMA_VERSION,
      statements: ["ALTER TABLE guildhall.session ADD COLUMN extra text", "ALTER TABLE guildhall.no_such_table ADD COLUMN extra text"],
    };
    await assert.rejects(migrate(database, [...MIGRATIONS, broken]));
    assert.deepEqual(await describeSchema(database), before);
    assert.equal(await migrate(database), SCHEMA_VERSION);
  });
});

async function describeSchema(database: Database): Promise<string[]> {
  const rows = await database.read<{ line: string }>({
    text: `
      SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default) AS line
      FROM information_schema.columns WHERE table_schema = 'guildhall'
      UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'guildhall' ORDER BY line`,
  });
  return rows.map((row) => row.line);
}
