import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { it } from "node:test";

import type { Sandboxes } from "./sandbox-fixture.ts";
import { eventually, failsWith, finish, readUntil, runScript, startScript, TOOLS } from "./sandbox-run.ts";

/** A sandbox from its creation to its end: ports, usage, lease, and that nothing outlives it. */
export function sandboxLifeContract(sandboxes: Sandboxes): void {
  it("refuses workspaces that are none", async () => {
    const { provider } = sandboxes.fixture();
    const create = (workspace: string, id = "refused"): Promise<unknown> => provider.create({ id, workspace });
    await assert.rejects(create("relative"), failsWith("invalid_argument"));
    await assert.rejects(create("/no/such/place"), failsWith("not_found"));
    await assert.rejects(create("/usr"), failsWith("invalid_argument"));
    await assert.rejects(create("/etc/passwd"), failsWith("failed_precondition"));
    await assert.rejects(create(sandboxes.shared().workspace, "../up"), failsWith("invalid_argument"));
  });

  it("has the toolkit, whatever else there is", async () => {
    const sandbox = sandboxes.shared();
    for (const tool of ["bash", "rg", "git", "socat"]) {
      const execution = await sandbox.exec({
        argv: [`${TOOLS}/${tool}`, tool === "socat" ? "-V" : "--version"],
        env: { PATH: "/nowhere" },
      });
      assert.match(await readUntil(execution, (text) => text.includes("\n")), /ersion|ripgrep/);
      assert.equal((await execution.exit).code, 0);
      await execution.close();
    }
    const git = async (...args: string[]): Promise<string> => {
      const identity = ["-c", "user.name=a", "-c", "user.email=a@b"];
      const execution = await sandbox.exec({ argv: [`${TOOLS}/git`, "-C", "repository", ...identity, ...args] });
      const done = await finish(execution);
      assert.equal(done.exit.code, 0, done.stderr);
      return done.stdout;
    };
    await sandbox.files.write("repository/file", Buffer.from("x"), { parents: true });
    await git("init", "-q");
    await git("add", "file");
    await git("commit", "-qm", "first");
    assert.equal(await git("log", "--format=%s"), "first\n");
  });

  it("connects to ports inside, both ways and whole", async () => {
    const sandbox = sandboxes.shared();
    const port = 20000 + (process.pid % 20000);
    await assert.rejects(sandbox.connect(port), failsWith("unavailable"));
    await assert.rejects(sandbox.connect(0), failsWith("invalid_argument"));
    const server = await sandbox.exec({ argv: [`${TOOLS}/socat`, `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork`, "EXEC:cat"] });
    const first = await eventually(() => sandbox.connect(port).catch(() => undefined));
    const second = await sandbox.connect(port);
    const sent = Buffer.alloc(1_000_000, "ping");
    const writing = first.write(sent);
    await second.write(Buffer.from("other"));
    let received = 0;
    for await (const bytes of first.readable) if ((received += bytes.length) >= sent.length) break;
    await writing;
    for await (const bytes of second.readable) {
      assert.equal(Buffer.from(bytes).toString(), "other");
      break;
    }
    await first.close();
    await second.close();
    await server.close();
  });

  it("measures what it uses", async () => {
    const sandbox = await sandboxes.fresh();
    const execution = await startScript(sandbox, "x=$(head -c 30000000 /dev/zero | tr '\\0' a); echo ready; sleep 309; echo $x");
    await readUntil(execution, (text) => text.includes("ready"));
    const usage = await sandbox.usage();
    assert.ok(usage.memoryBytes > 30_000_000, String(usage.memoryBytes));
    assert.ok(usage.processes >= 1 && usage.processes <= 5, String(usage.processes));
    await execution.close();
  });

  it("tells whether anything inside has run between two looks", async () => {
    const sandbox = await sandboxes.fresh();
    const execution = await startScript(sandbox, "while read line; do echo $line; done", { input: true });
    const still = async (): Promise<string> => {
      for (;;) {
        const [first, second] = [(await sandbox.usage()).activity, (await sandbox.usage()).activity];
        if (first !== undefined && first === second) return first;
      }
    };
    const before = await still();
    assert.equal(await still(), before);
    await execution.write(Buffer.from("told\n"));
    await readUntil(execution, (text) => text.includes("told"));
    assert.notEqual(await still(), before);
    await execution.close();
  });

  it("ends all that runs inside, however much that is, and goes on", async () => {
    const sandbox = await sandboxes.fresh();
    const execution = await startScript(
      sandbox,
      "(while :; do echo new > made; done) & (setsid bash -c 'while :; do (sleep 1 &); sleep 0.02; done' &>/dev/null &); sleep 313; echo late",
    );
    await eventually(async () => ((await sandbox.usage()).processes > 3 ? true : undefined));
    await sandbox.endAll();
    assert.equal((await sandbox.usage()).processes, 0);
    await sandbox.files.remove("made");
    assert.equal((await finish(execution)).exit.signal, "SIGKILL");
    await execution.close();
    assert.equal((await runScript(sandbox, "test -e made || echo none")).stdout, "none\n");
    await sandbox.endAll();
  });

  it("keeps running while its owner lives, far beyond the lease", async () => {
    const sandbox = await sandboxes.fresh({ leaseMs: 400 });
    assert.equal((await runScript(sandbox, "sleep 1.2; echo alive")).stdout, "alive\n");
    await sandbox.renew();
  });

  it("kills everything by itself when its owner is stuck", async () => {
    const sandbox = await sandboxes.fresh({ leaseMs: 300 });
    const execution = await startScript(
      sandbox,
      "(setsid bash -c 'while :; do date +%s%N > beat; sleep 0.02; done' &) ; echo up; sleep 310",
    );
    await readUntil(execution, (text) => text.includes("up"));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500); // our event loop does not turn: nobody renews
    const stuckUntil = Date.now();
    const exit = await execution.exit;
    assert.deepEqual([exit.signal, exit.limit], ["SIGKILL", "lease"]);
    assert.equal(await sandbox.gone, "lease");
    const last = Number(await readFile(`${sandbox.workspace}/beat`, "utf8")) / 1e6;
    assert.ok(last < stuckUntil, `it lived on for ${last - stuckUntil} ms`);
    await assert.rejects(runScript(sandbox, "true"), failsWith("unavailable"));
    await assert.rejects(sandbox.files.read("beat"), failsWith("unavailable"));
  });

  it("leaves no process behind, daemons included, and may be disposed of twice", async () => {
    const sandbox = await sandboxes.fresh();
    const mark = `311.${process.pid}`;
    const execution = await startScript(
      sandbox,
      `sleep ${mark} & (setsid setsid sleep ${mark} </dev/null &>/dev/null &); (trap '' TERM HUP; sleep ${mark}) & echo up; wait`,
    );
    await readUntil(execution, (text) => text.includes("up"));
    await eventually(async () => ((await hostProcesses(mark)) >= 3 ? true : undefined));
    await Promise.all([sandbox.dispose(), sandbox.dispose()]);
    assert.equal(await hostProcesses(mark), 0);
    assert.equal((await execution.exit).signal, "SIGKILL");
    for await (const _ of execution.output) assert.fail("nothing comes after the end");
    assert.equal(await sandbox.gone, "disposed");
    await sandbox.dispose();
    await execution.close();
    await assert.rejects(sandbox.usage(), failsWith("unavailable"));
  });

  /** Processes of this machine with `mark` as an argument: a sandbox's processes are the host's too. */
  async function hostProcesses(mark: string): Promise<number> {
    let count = 0;
    for (const pid of await readdir("/proc")) {
      if (!/^\d+$/.test(pid)) continue;
      const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""); // ended meanwhile
      if (command.split("\0").at(-2) === mark) count += 1;
    }
    return count;
  }
}
