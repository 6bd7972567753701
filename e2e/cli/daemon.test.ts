import assert from "node:assert/strict";
import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { Home, jsonLines } from "./guild.ts";

interface Up {
  pid: number;
  addresses: string[];
  state: string;
}

async function up(home: Home, ...args: string[]): Promise<Up> {
  const { code, stdout, stderr } = await home.guild(["up", "--json", ...args]);
  assert.equal(code, 0, stderr);
  return upOf(stdout);
}

function upOf(stdout: string): Up {
  return jsonLines(stdout)[0] as unknown as Up;
}

function socketOf({ addresses }: Up): string {
  return addresses[0]?.replace("unix:", "") ?? "";
}

/** Resolves when the process is no more; the test's own limit ends it otherwise. */
async function gone(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe("the daemon", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  it("starts once, however many clients want it at the same time", async () => {
    verifies("A6");
    const all = await Promise.all(Array.from({ length: 5 }, () => home.guild(["up", "--json"])));
    const pids = new Set(all.map(({ code, stdout, stderr }) => (assert.equal(code, 0, stderr), jsonLines(stdout)[0]?.["pid"])));
    assert.equal(pids.size, 1);
    const socket = socketOf(await up(home));
    assert.equal(statSync(socket).mode & 0o777, 0o600);
    assert.equal(statSync(dirname(socket)).mode & 0o777, 0o700);
  });

  it("is replaced when it was killed, adopts its database, and loses nothing", async () => {
    const first = await up(home);
    const database = () => Number(readFileSync(join(home.directory, "guild/data/postgres/postmaster.pid"), "utf8").split("\n")[0]);
    const postmaster = database();
    process.kill(first.pid, "SIGKILL");
    const listed = await home.guild(["session", "list", "--json"]);
    assert.equal(listed.code, 0, listed.stderr);
    const second = await up(home);
    assert.notEqual(second.pid, first.pid);
    assert.equal(database(), postmaster, "the database was adopted");
  });

  it("replaces a stale socket", async () => {
    const socket = socketOf(await up(home));
    assert.equal((await home.guild(["down"])).code, 0);
    assert.equal(existsSync(socket), false);
    const stale = net.createServer().listen(socket);
    await once(stale, "listening");
    // A process that died without closing leaves the file behind; so does a plain file of that name.
    stale.close();
    writeFileSync(socket, "");
    assert.equal((await up(home)).state, "up");
  });

  it("ends when told, waits for nothing, and telling it twice is no error", async () => {
    const { pid } = await up(home);
    assert.equal((await home.guild(["down"])).stdout, "down\n");
    await gone(pid);
    assert.equal((await home.guild(["down"])).stdout, "not running\n");
  });

  it("ends by itself when it has been idle", async () => {
    const env = { GUILD_DAEMON_IDLE_MINUTES: "0.01" };
    const started = await home.guild(["up", "--json"], { env });
    const { pid } = jsonLines(started.stdout)[0] as unknown as Up;
    await gone(pid);
    assert.match(readFileSync(join(home.directory, "guild/state/daemon.log"), "utf8"), /idle: ending/);
  });

  it("listens on a TCP address only for who has the token", async () => {
    assert.equal((await home.guild(["down"])).code, 0);
    const { addresses } = await up(home, "--listen", "127.0.0.1:0");
    const address = addresses.find((one) => one.startsWith("http://")) ?? "";
    const token = readFileSync(join(home.directory, "guild/data/token"), "utf8").trim();
    assert.equal(statSync(join(home.directory, "guild/data/token")).mode & 0o777, 0o600);
    const call = (headers: Record<string, string>) =>
      fetch(`${address}/guildhall.v1.SystemService/GetInfo`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: "{}",
      });
    assert.equal((await call({})).status, 401);
    assert.equal((await call({ authorization: `Bearer ${token}`, origin: "http://evil.example" })).status, 403);
    const answer = await call({ authorization: `Bearer ${token}` });
    assert.equal(answer.status, 200);
    assert.equal(((await answer.json()) as { protocolMax: number }).protocolMax, 1);
  });

  it("says in one line why it cannot start", async () => {
    assert.equal((await home.guild(["down"])).code, 0);
    const settings = home.write("guild/config/settings.toml", "[daemon]\nidle_minute = 3\n");
    const { code, stderr } = await home.guild(["session", "list"]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^guild: there is no setting daemon\.idle_minute .*did you mean daemon\.idle_minutes\?\n$/);
    writeFileSync(settings, "");
  });
});

describe("two users on one machine", { skip: process.getuid?.() !== 0 && "only root can be two users" }, () => {
  it("each have a daemon that the other cannot reach", async () => {
    const homes = [new Home(), new Home()] as const;
    // Users that every Debian has: nobody and games.
    const uids = [65534, 5] as const;
    try {
      const started = [];
      for (const [index, home] of homes.entries()) {
        const uid = uids[index] ?? 0;
        mkdirSync(join(home.directory, "guild"));
        for (const path of [home.directory, join(home.directory, "guild")]) chownSync(path, uid, uid);
        const { code, stdout, stderr } = await home.guild(["up", "--json"], { uid });
        assert.equal(code, 0, stderr);
        started.push(upOf(stdout));
      }
      assert.notEqual(started[0]?.pid, started[1]?.pid);
      for (const [index, one] of started.entries()) {
        assert.ok(socketOf(one).startsWith(join(tmpdir(), `guildhall-${uids[index]}`)), socketOf(one));
        assert.equal(statSync(socketOf(one)).uid, uids[index]);
      }
      const [first] = homes;
      const stranger = await first.guild(["session", "list"], { uid: uids[1] });
      assert.notEqual(stranger.code, 0, "another user's home is not usable");
    } finally {
      for (const [index, home] of homes.entries()) {
        await home.guild(["down", "--now"], { uid: uids[index] ?? 0 });
        await home.remove();
      }
    }
  });
});
