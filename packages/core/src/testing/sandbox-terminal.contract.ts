import assert from "node:assert/strict";
import { it } from "node:test";

import type { Execution } from "../ports/sandbox.ts";
import type { Sandboxes } from "./sandbox-fixture.ts";
import { commandsLike, eventually, failsWith, finish, readUntil, startScript, TOOLS } from "./sandbox-run.ts";

/** Terminals: size, interrupts to the foreground, a shell that one talks to. */
export function sandboxTerminalContract(sandboxes: Sandboxes): void {
  const terminal = { rows: 30, columns: 100 };

  it("gives a terminal of the size asked for, and resizes it", async () => {
    const script = "trap 'stty size; exit 0' WINCH; test -t 0 -a -t 1 -a -t 2 && stty size; while :; do sleep 0.05; done";
    const execution = await startScript(sandboxes.shared(), script, { terminal });
    await readUntil(execution, (text) => text.includes("30 100"));
    await execution.resize(40, 120);
    await readUntil(execution, (text) => text.includes("40 120"));
    assert.equal((await execution.exit).code, 0);
    await execution.close();
  });

  it("talks with an interactive shell", async () => {
    const shell = await interactive();
    await type(shell, "echo $((6*7))\n", "\n42\r\n$ ");
    await type(shell, "cat\n", "");
    await type(shell, "hello\n", "hello\r\nhello");
    await shell.closeInput();
    await type(shell, 'echo ba""ck\n', "back");
    await type(shell, "exit 5\n", "");
    assert.equal((await shell.exit).code, 5);
    await shell.close();
  });

  it("interrupts the foreground by key and by signal, and leaves the shell alive", async () => {
    const shell = await interactive();
    await type(shell, "sleep 303\n", "");
    await running("sleep 303");
    await type(shell, "\u0003", "\n$ ");
    await type(shell, "sleep 304\n", "");
    await running("sleep 304");
    await shell.signal("SIGINT", "foreground");
    await type(shell, 'echo ali""ve\n', "alive");
    await shell.close();
    assert.equal((await shell.exit).signal, "SIGKILL");
  });

  it("ends a terminal's output when its last process has gone, all of it delivered", async () => {
    const execution = await startScript(sandboxes.shared(), "seq 20000", { terminal });
    const { stdout } = await finish(execution);
    assert.ok(stdout.endsWith("20000\r\n"));
    assert.equal(stdout.split("\r\n").length, 20_001);
    await execution.close();
  });

  it("delivers a terminal's output before the control bytes written after it", async () => {
    const script = "stty -opost; for i in {1..200}; do printf '%0300d' 0; printf x >&3; done";
    const execution = await startScript(sandboxes.shared(), script, { terminal, control: true });
    const seen = { stdout: 0, stderr: 0, control: 0 };
    for await (const { stream, bytes } of execution.output) {
      seen[stream] += bytes.length;
      assert.ok(seen.control * 300 <= seen.stdout, JSON.stringify(seen));
    }
    assert.deepEqual(seen, { stdout: 60_000, stderr: 0, control: 200 });
    await execution.close();
  });

  it("refuses to resize what is no terminal", async () => {
    const execution = await startScript(sandboxes.shared(), "sleep 305");
    await assert.rejects(execution.resize(1, 1), failsWith("failed_precondition"));
    await execution.close();
  });

  async function running(command: string): Promise<void> {
    await eventually(async () => ((await commandsLike(sandboxes.shared(), command)) === 1 ? true : undefined));
  }

  async function interactive(): Promise<Execution> {
    const argv: [string, ...string[]] = [`${TOOLS}/bash`, "--norc", "--noprofile", "--noediting", "-i"];
    const shell = await sandboxes.shared().exec({ argv, terminal, env: { PS1: "$ " } });
    await readUntil(shell, (text) => text.includes("$ "));
    return shell;
  }

  async function type(shell: Execution, keys: string, answer: string): Promise<void> {
    await shell.write(Buffer.from(keys));
    if (answer !== "") await readUntil(shell, (text) => text.includes(answer));
  }
}
