import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { GuildError, type Sandbox } from "@guildhall/core";

import { InsideWatch } from "./inside-watch.ts";

const TABLE = (port: string) => `  sl  local_address\n   0: 0100007F:${port} 00000000:0000 0A x\n`;

/** A sandbox of which only /proc and its usage are there; `processes`: name, parent and environment by number, and session, if not its own. */
function world(processes: Record<number, [name: string, parent: number, environ?: string, session?: number]>) {
  const state = { processes, table: TABLE("0016"), sockets: 1, tables: 0, usage: { memoryBytes: 0, processes: 3, cpuMs: 0 } };
  const read = async (path: string): Promise<Uint8Array> => {
    if (path === "/proc/net/tcp") return ((state.tables += 1), Buffer.from(state.table));
    if (path === "/proc/net/sockstat") return Buffer.from(`sockets: used 1\nTCP: inuse ${state.sockets} orphan 0 tw 0 alloc 9 mem 1\n`);
    const [, pid = "", what] = /^\/proc\/(\d+)\/(\w+)$/.exec(path) ?? [];
    const one = state.processes[Number(pid)];
    if (one === undefined) throw new GuildError("not_found", "gone");
    if (what === "cmdline") return Buffer.from("/x/ld-linux-x86-64.so.2\0--library-path\0/lib\0--argv0\0socat\0/x/libexec/socat\0-\0");
    return Buffer.from(what === "stat" ? `${pid} (${one[0]}) S ${one[1]} 0 ${one[3] ?? pid}` : (one[2] ?? ""));
  };
  const list = async () => ["self", "net", ...Object.keys(state.processes)].map((name) => ({ name, kind: "directory" as const }));
  const sandbox = {
    provider: "fake",
    files: { read, list } as Partial<Sandbox["files"]> as Sandbox["files"],
    usage: async () => state.usage,
    limits: { memoryBytes: 1000 * 2 ** 20, processes: 100 },
  };
  return { state, sandbox };
}

const ROOTS = { 1: ["guild-init", 0], 2: ["guild-keeper", 1], 3: ["bash", 2] } satisfies Record<number, [string, number]>;

describe("a look into a sandbox", () => {
  it("tells ports and background processes that come and go, each once, and none of Guildhall's own", async () => {
    const { state, sandbox } = world({ ...ROOTS });
    const watch = await InsideWatch.begin({ ...sandbox, wayOut: { port: 3128, authority: "" } });
    assert.deepEqual((await watch.look()).opened, [22], "what listens from the first is told once");
    assert.deepEqual((await (await InsideWatch.begin({ ...sandbox, provider: "host" })).look()).opened, []);
    state.table = TABLE("0C38");
    assert.deepEqual((await watch.look()).opened, []);
    state.table = TABLE("0016");
    await watch.look();
    state.table = TABLE("1F90");
    state.processes = {
      ...ROOTS,
      4: ["chromium", 2],
      5: ["chromium", 4],
      6: ["vite (dev)", 3],
      7: ["bash", 2, "A=1\0GUILD_OWN_PROCESS=language-server\0"],
      8: ["node", 7, "GUILD_OWN_PROCESS=language-server\0"],
      9: ["daemon", 2, "", 3],
      10: ["chromium", 2, "", 4],
      11: ["ld-linux-x86-64", 3],
    };
    const first = await watch.look();
    assert.deepEqual(
      [first.opened, first.closed, first.began, first.ended],
      [[8080], [22], ["vite (dev) (process 6)", "daemon (process 9)", "socat (process 11)"], []],
    );
    assert.deepEqual((await watch.look()).began, []);
    state.processes = { ...ROOTS };
    assert.deepEqual((await watch.look()).ended, ["vite (dev) (process 6)", "daemon (process 9)", "socat (process 11)"]);
  });

  it("reads no table, which is dear, where there is no socket", async () => {
    const { state, sandbox } = world({ ...ROOTS });
    state.sockets = 0;
    const watch = await InsideWatch.begin(sandbox);
    await watch.look();
    assert.equal(state.tables, 0);
    state.sockets = 12;
    assert.deepEqual((await watch.look()).opened, [22]);
    state.sockets = 0;
    assert.deepEqual((await watch.look()).closed, [22]);
  });

  it("tells what is short once, and again after it was not", async () => {
    const { state, sandbox } = world({ ...ROOTS });
    const watch = await InsideWatch.begin(sandbox);
    const short = { memoryBytes: 900 * 2 ** 20, processes: 99, cpuMs: 0 };
    state.usage = short;
    assert.deepEqual((await watch.look()).pressure, [
      "Memory is short: 900 of 1000 MiB are used; stop what you do not need.",
      "99 of 100 processes are there; stop what you do not need.",
    ]);
    assert.deepEqual((await watch.look()).pressure, []);
    state.usage = { memoryBytes: 0, processes: 1, cpuMs: 0 };
    assert.deepEqual((await watch.look()).pressure, []);
    state.usage = short;
    assert.equal((await watch.look()).pressure.length, 2);
  });

  it("tells of a disk that is short, from the first too, and of what the sandbox may still add to it", async () => {
    const { sandbox } = world({ ...ROOTS });
    const gibi = 2 ** 30;
    let free = 1 * gibi;
    const watch = await InsideWatch.begin({ ...sandbox, limits: { diskBytes: 10 * gibi } }, async () => ({ free, total: 100 * gibi }));
    const short = ["Disk is short: 1024 of 102400 MiB are free where the workspace is; remove what you do not need."];
    assert.deepEqual((await watch.look()).pressure, short);
    assert.deepEqual((await watch.look()).pressure, []);
    free = 50 * gibi;
    assert.deepEqual((await watch.look()).pressure, []);
    free = 1 * gibi;
    assert.deepEqual((await watch.look()).pressure, short);
    free = 60 * gibi;
    const other = await InsideWatch.begin({ ...sandbox, limits: { diskBytes: 10 * gibi } }, async () => ({ free, total: 100 * gibi }));
    free = 51 * gibi;
    assert.deepEqual((await other.look()).pressure, ["9216 of the 10240 MiB that may be added to the disk are written."]);
  });

  it("looks at a bounded number of processes, and takes other people's for nothing of its own", async () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [index + 10, ["sleep", 3] as [string, number]]));
    const { state, sandbox } = world({ ...ROOTS });
    const watch = await InsideWatch.begin(sandbox);
    state.processes = { ...ROOTS, ...many };
    assert.ok((await watch.look()).began.length <= 256);
    const bare = await InsideWatch.begin({ ...sandbox, provider: "host" });
    assert.deepEqual((await bare.look()).ended, []);
  });
});
