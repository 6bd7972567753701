import assert from "node:assert/strict";
import { it } from "node:test";

import type { Sandboxes } from "./sandbox-fixture.ts";
import { commandsLike, eventually, failsWith, finish, readUntil, runScript, startScript, TOOLS } from "./sandbox-run.ts";
import { sandboxTerminalContract } from "./sandbox-terminal.contract.ts";

/** Starting processes, their streams, signals and end. */
export function sandboxExecutionContract(sandboxes: Sandboxes): void {
  it("runs a command in the workspace with its streams apart and its exit code", async () => {
    const sandbox = sandboxes.shared();
    const done = await runScript(sandbox, "pwd; echo oops >&2; exit 3");
    assert.equal(done.stdout, `${sandbox.workspace}\n`);
    assert.equal(done.stderr, "oops\n");
    assert.deepEqual([done.exit.code, done.exit.signal, done.exit.limit], [3, undefined, undefined]);
    assert.ok(done.exit.cpuMs > 0);
    assert.ok(done.exit.maxRssBytes > 0);
  });

  it("passes arguments byte for byte", async () => {
    const args = ["", "a b", "line\nbreak", "'\"$(x)`", "größe 🚀", "-n"];
    const execution = await sandboxes.shared().exec({ argv: [`${TOOLS}/bash`, "-c", 'printf "<%s>" "$@"', "name", ...args] });
    assert.equal((await finish(execution)).stdout, args.map((arg) => `<${arg}>`).join(""));
  });

  it("puts the execution's environment over the sandbox's, and the working directory where it is told", async () => {
    const sandbox = await sandboxes.fresh({ env: { ONE: "sandbox", TWO: "sandbox" } });
    const done = await runScript(sandbox, 'echo "$ONE $TWO $PWD"', { env: { TWO: "execution" }, cwd: "/usr" });
    assert.equal(done.stdout, "sandbox execution /usr\n");
  });

  it("says what is missing when a command cannot start", async () => {
    const sandbox = sandboxes.shared();
    await assert.rejects(sandbox.exec({ argv: ["no-such-program"] }), failsWith("not_found"));
    await assert.rejects(sandbox.exec({ argv: ["/usr"] }), failsWith("permission_denied"));
    await assert.rejects(sandbox.exec({ argv: ["/bin/true"], cwd: "/no/such/place" }), failsWith("not_found"));
  });

  it("opens nothing for a command but its standard streams", async () => {
    const done = await runScript(sandboxes.shared(), "for fd in /proc/self/fd/*; do echo ${fd##*/}; done");
    const open = done.stdout.split("\n").filter((fd) => Number(fd) > 3); // 3 is the directory that the shell is reading
    assert.deepEqual(open, []);
  });

  it("gives an empty input unless one is asked for", async () => {
    const execution = await startScript(sandboxes.shared(), "cat; echo end");
    await assert.rejects(execution.write(Buffer.from("x")), failsWith("failed_precondition"));
    assert.equal((await finish(execution)).stdout, "end\n");
  });

  it("carries input of any bytes, with back-pressure, to its end", async () => {
    const execution = await startScript(sandboxes.shared(), "cat", { input: true });
    const sent = Buffer.alloc(3_000_000, Buffer.from([0, 255, 10, 13, 128, 4, 3]));
    const writing = execution.write(sent).then(() => execution.closeInput());
    const received: Uint8Array[] = [];
    for await (const { bytes } of execution.output) received.push(bytes);
    await writing;
    assert.ok(Buffer.concat(received).equals(sent));
    assert.equal((await execution.exit).code, 0);
  });

  it("lets a write wait while nobody reads, and fail when nobody will", async () => {
    const execution = await startScript(sandboxes.shared(), "sleep 0.5; exec <&-; exit 0", { input: true });
    let settled = false;
    const writing = execution.write(Buffer.alloc(2_000_000)).finally(() => (settled = true));
    writing.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(settled, false);
    await assert.rejects(writing, failsWith("failed_precondition"));
    await execution.close();
  });

  it("delivers 200,000 lines whole and in order", async () => {
    const done = await runScript(sandboxes.shared(), "i=0; while ((i < 200000)); do echo $((i++)); done");
    const lines = done.stdout.split("\n");
    assert.equal(lines.length, 200_001);
    assert.ok(lines.slice(0, -1).every((line, index) => line === String(index)));
  });

  it("holds a process back when its output is not read, and loses nothing", async () => {
    const total = 150_000_000;
    const execution = await startScript(sandboxes.shared(), `head -c ${total} /dev/zero; echo done >&3`, { control: true });
    const before = process.memoryUsage().rss;
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.ok(process.memoryUsage().rss - before < 50_000_000, "what nobody reads must not pile up");
    assert.ok((await sandboxes.shared().usage()).memoryBytes < total);
    let received = 0;
    for await (const { stream, bytes } of execution.output) if (stream === "stdout") received += bytes.length;
    assert.equal(received, total);
  });

  it("passes bytes that are no UTF-8 as they are", async () => {
    const execution = await startScript(sandboxes.shared(), String.raw`printf '\xff\xfe\x00\xc3('`);
    const parts: Uint8Array[] = [];
    for await (const { bytes } of execution.output) parts.push(bytes);
    assert.deepEqual(Buffer.concat(parts), Buffer.from([0xff, 0xfe, 0x00, 0xc3, 0x28]));
  });

  it("ends the output when its writers have closed it, though the process runs on", async () => {
    const execution = await startScript(sandboxes.shared(), "exec >&- 2>&-; sleep 60");
    for await (const _ of execution.output) assert.fail("there is none");
    assert.equal(await Promise.race([execution.exit, Promise.resolve("running")]), "running");
    await execution.close();
    assert.equal((await execution.exit).signal, "SIGKILL");
  });

  it("tells the exit though others hold the output open", async () => {
    const execution = await startScript(sandboxes.shared(), "sleep 60 & exit 4");
    assert.equal((await execution.exit).code, 4);
    await execution.close();
  });

  it("delivers control bytes after the output that came before them", async () => {
    const execution = await startScript(
      sandboxes.shared(),
      "for i in {1..300}; do printf '%01000d' 0; printf '%0100d' 0 >&2; printf x >&3; done",
      { control: true },
    );
    const seen = { stdout: 0, stderr: 0, control: 0 };
    for await (const { stream, bytes } of execution.output) {
      seen[stream] += bytes.length;
      assert.ok(seen.control * 1000 <= seen.stdout && seen.control * 100 <= seen.stderr, JSON.stringify(seen));
    }
    assert.deepEqual(seen, { stdout: 300_000, stderr: 30_000, control: 300 });
  });

  it("names the signal that ended a process", async () => {
    assert.equal((await runScript(sandboxes.shared(), "kill -SEGV $$")).exit.signal, "SIGSEGV");
  });

  it("sends signals to a group, or to all that descends, daemons included", async () => {
    const sandbox = sandboxes.shared();
    const script = "trap 'echo group' USR1; (setsid bash -c 'echo ready; exec sleep 300' &) ; while :; do sleep 0.05; done";
    const execution = await startScript(sandbox, script);
    await readUntil(execution, (text) => text.includes("ready"));
    await execution.signal("SIGUSR1", "group");
    await readUntil(execution, (text) => text.includes("group"));
    await eventually(async () => ((await commandsLike(sandbox, "sleep 300")) === 1 ? true : undefined));
    await execution.signal("SIGKILL", "all");
    assert.equal((await execution.exit).signal, "SIGKILL");
    await eventually(async () => ((await commandsLike(sandbox, "sleep 300")) === 0 ? true : undefined));
    await assert.rejects(execution.signal("SIGNONE"), failsWith("invalid_argument"));
    await execution.close();
  });

  it("kills what still runs of it when closed, background processes and daemons included", async () => {
    const sandbox = sandboxes.shared();
    const execution = await startScript(
      sandbox,
      "sleep 301 & (setsid bash -c 'sleep 301 & sleep 301' </dev/null &>/dev/null &); echo up; exit 0",
    );
    await execution.exit;
    await eventually(async () => ((await commandsLike(sandbox, "sleep 301")) === 3 ? true : undefined));
    await execution.close();
    assert.equal(await commandsLike(sandbox, "sleep 301"), 0);
  });

  it("leaves a detached process running when its handle is closed", async () => {
    const sandbox = sandboxes.shared();
    const execution = await startScript(sandbox, "echo on; while :; do echo more; sleep 0.01; done", { detached: true });
    await readUntil(execution, (text) => text.includes("on"));
    await execution.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    const alive = await runScript(sandbox, `kill -0 ${execution.pid} && kill -9 ${execution.pid}`);
    assert.equal(alive.exit.code, 0, alive.stderr);
    assert.equal((await execution.exit).signal, "SIGKILL");
  });

  it("ends with its abort signal, and does not start after it", async () => {
    const sandbox = sandboxes.shared();
    const control = new AbortController();
    const execution = await startScript(sandbox, "sleep 302", {}, control.signal);
    control.abort();
    assert.equal((await execution.exit).signal, "SIGKILL");
    await assert.rejects(startScript(sandbox, "true", {}, control.signal), failsWith("cancelled"));
  });

  it("leaves no dead process behind", async () => {
    const sandbox = sandboxes.shared();
    await runScript(sandbox, "for i in {1..50}; do (setsid sleep 0.01 &) ; done; wait");
    await eventually(async () => {
      const { stdout } = await runScript(sandbox, "cat /proc/[0-9]*/stat 2>/dev/null | grep -c '(sleep) Z'");
      return stdout.trim() === "0" ? true : undefined;
    });
  });

  it("runs fifty executions at once, each with its own output", async () => {
    const sandbox = sandboxes.shared();
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, index) => runScript(sandbox, `for i in {1..200}; do echo ${index}; done; exit ${index}`)),
    );
    all.forEach((done, index) => {
      assert.equal(done.stdout, `${index}\n`.repeat(200));
      assert.equal(done.exit.code, index);
    });
  });

  sandboxTerminalContract(sandboxes);
}
