import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { chmod, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { type ErrorCode, GuildError } from "@guildhall/core";
import pg from "pg";

import { Postgres } from "./postgres.ts";
import { startError } from "./server-errors.ts";

describe("PostgreSQL of our own", () => {
  let root: string;
  let template: string;
  let postgres: Postgres;
  const make = (runtime = "run") =>
    new Postgres({ dataDir: join(root, "data"), runtimeDir: join(root, runtime), binariesDir: join(template, "bin") });
  before(async () => {
    template = await mkdtemp(join(tmpdir(), "guildhall-template-"));
    // As root the server runs as another user, who must get to its programs.
    await chmod(template, 0o755);
    const once = new Postgres({ dataDir: join(template, "data"), runtimeDir: join(template, "run"), binariesDir: join(template, "bin") });
    await once.ensure();
    await once.stop();
  });
  after(() => rm(template, { recursive: true, force: true }));
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "guildhall-postgres-"));
    postgres = make();
  });
  afterEach(async () => {
    await postgres.stop();
    await rm(root, { recursive: true, force: true });
  });

  it("is made, listens on nothing but sockets that nobody else may enter, and keeps what it is told", async () => {
    const { host } = await postgres.ensure();
    const settings = await query(postgres, "SHOW listen_addresses", "SHOW fsync", "SHOW synchronous_commit", "SHOW full_page_writes");
    assert.deepEqual(settings, ["", "on", "on", "on"]);
    assert.equal((await stat(host)).mode & 0o777, 0o700);
    assert.equal((await stat(postgres.databaseDir)).mode & 0o777, 0o700);
    assert.equal((await stat(join(host, ".s.PGSQL.5432"))).mode & 0o777, 0o700);
    if (process.getuid?.() === 0) assert.notEqual((await stat(postgres.databaseDir)).uid, 0);
  });

  it("is made once, however many ask for it", async () => {
    const askers = Array.from({ length: 4 }, () => make());
    await Promise.all(askers.map((asker) => asker.ensure()));
    assert.equal(new Set(askers.map((asker) => asker.pid())).size, 1);
    const names = await readdir(join(root, "data"));
    assert.deepEqual(names.toSorted(), ["postgres", "postgres.log"]);
  });

  describe("once made", () => {
    beforeEach(() => promisify(execFile)("cp", ["-a", "--reflink=auto", join(template, "data"), root]));

    it("outlives the process that started it, and the next one adopts it", async () => {
      const program = `
      import { Postgres } from ${JSON.stringify(import.meta.resolve("./postgres.ts"))};
      await new Postgres({ dataDir: "${root}/data", runtimeDir: "${root}/run", binariesDir: "${template}/bin" }).ensure();
      process.kill(process.pid, "SIGKILL");`;
      const child = spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: "inherit" });
      await once(child, "exit");
      const pid = postgres.pid();
      assert.ok(pid !== undefined);
      await postgres.ensure();
      assert.equal(postgres.pid(), pid);
      assert.deepEqual(await query(postgres, "SELECT 1 AS one"), [1]);
    });

    it("comes back after it was killed", async () => {
      await postgres.ensure();
      for (let round = 0; round < 3; round++) {
        const pid = postgres.pid() ?? 0;
        process.kill(pid, "SIGKILL");
        while (postgres.pid() === pid) await sleep(2);
        await postgres.ensure();
        assert.notEqual(postgres.pid(), pid);
        assert.deepEqual(await query(postgres, "SELECT 1 AS one"), [1]);
      }
    });

    it("starts although its process number was given to another process meanwhile", async () => {
      await postgres.ensure();
      const file = join(postgres.databaseDir, "postmaster.pid");
      const left = readFileSync(file, "utf8");
      await postgres.stop();
      writeFileSync(file, left.replace(/^\d+/, String(process.pid)));
      assert.equal(postgres.pid(), undefined);
      await postgres.ensure();
      assert.deepEqual(await query(postgres, "SELECT 1 AS one"), [1]);
    });

    it("starts although the number in a killed server's socket was given to another process of the same user", async (t) => {
      const { host } = await postgres.ensure();
      const { uid, gid } = await stat(postgres.databaseDir);
      const other = spawn("sleep", ["600"], { ...(process.getuid?.() === 0 ? { uid, gid } : {}), stdio: "ignore" });
      t.after(() => other.kill());
      const lock = join(host, ".s.PGSQL.5432.lock");
      const left = readFileSync(lock, "utf8");
      const pid = postgres.pid() ?? 0;
      process.kill(pid, "SIGKILL");
      while (postgres.pid() === pid) await sleep(2);
      await chmod(lock, 0o666);
      writeFileSync(lock, left.replace(/^\d+/, String(other.pid)));
      await postgres.ensure();
      assert.deepEqual(await query(postgres, "SELECT 1 AS one"), [1]);
    });

    it("is found by its data when the runtime folder was cleared", async () => {
      await postgres.ensure();
      const pid = postgres.pid();
      await rm(join(root, "run"), { recursive: true });
      const later = make("another-run");
      const { host } = await later.ensure();
      assert.equal(host, later.databaseDir);
      assert.equal(later.pid(), pid);
      assert.deepEqual(await query(later, "SELECT 1 AS one"), [1]);
      await later.stop();
      assert.equal((await postgres.ensure()).host, join(root, "run", "pg"));
    });

    it("removes what a maker that died left half made", async () => {
      await postgres.ensure();
      await postgres.stop();
      const half = join(root, "data", "postgres.new.4194305.abc");
      await rename(postgres.databaseDir, half);
      await postgres.ensure();
      await assert.rejects(stat(half), { code: "ENOENT" });
    });

    it("is stopped when asked, whoever started it, and may be stopped twice", async () => {
      await postgres.ensure();
      await make().stop();
      assert.equal(postgres.pid(), undefined);
      await postgres.stop();
    });

    it("refuses a database of another PostgreSQL", async () => {
      await postgres.ensure();
      await postgres.stop();
      await writeFile(join(postgres.databaseDir, "PG_VERSION"), "17\n");
      await rejects("version_mismatch", postgres.ensure());
    });

    it("refuses a database that others may enter", async () => {
      await postgres.ensure();
      await postgres.stop();
      await chmod(postgres.databaseDir, 0o777);
      await rejects("permission_denied", postgres.ensure());
      await chmod(postgres.databaseDir, 0o700);
      await postgres.ensure();
    });

    it("repeats the server's own words when it does not start", async () => {
      await postgres.ensure();
      await postgres.stop();
      await rm(join(postgres.databaseDir, "global", "pg_control"));
      await assert.rejects(postgres.ensure(), (error) => {
        assert.ok(GuildError.is(error, "unavailable"));
        assert.match(error.line, /pg_control/);
        assert.ok(error.remedy?.includes(postgres.logFile));
        return true;
      });
    });

    it("knows what a failed start means", () => {
      const meaning: Array<[string, ErrorCode]> = [
        ["initdb: error: could not write to file: No space left on device", "storage_full"],
        ['2026 UTC [1] PANIC:  could not write to file "pg_wal/xlogtemp.1": No space left on device', "storage_full"],
        ["FATAL:  database files are incompatible with server", "version_mismatch"],
        ['FATAL:  data directory "/x" has wrong ownership', "permission_denied"],
        ["initdb: error: could not look up effective user ID 4711: user does not exist", "failed_precondition"],
        ["FATAL:  something new", "unavailable"],
      ];
      for (const [output, code] of meaning) assert.equal(startError(output, "/x", undefined).code, code, output);
    });
  });
});

async function query(postgres: Postgres, ...statements: string[]): Promise<unknown[]> {
  const client = new pg.Client(await postgres.ensure());
  await client.connect();
  try {
    const values: unknown[] = [];
    for (const statement of statements) {
      const { rows } = await client.query<Record<string, unknown>>(statement);
      values.push(...rows.flatMap((row) => Object.values(row)));
    }
    return values;
  } finally {
    await client.end();
  }
}

async function rejects(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(GuildError.is(error, code), String(error));
    assert.ok(error.remedy !== undefined && error.subject !== undefined);
    return true;
  });
}
