import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { type Finished, Home, program, repository } from "./guild.ts";

/** `guild` at a terminal, which util-linux's script(1) gives it: what it shows, and a keyboard. */
function atTerminal(home: Home, args: string[]) {
  const quoted = [process.execPath, program, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const child = spawn("/usr/bin/script", ["--quiet", "--return", "--flush", "--command", quoted, "/dev/null"], {
    cwd: home.directory,
    env: { ...home.env, TERM: "xterm-256color", COLUMNS: "100", SHELL: "/bin/sh" },
  });
  const screen = { text: "" };
  const waiting = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    screen.text += text;
    for (const look of waiting) look();
  });
  const finished = new Promise<Finished>((resolve) => child.on("close", (code) => resolve({ code, stdout: screen.text, stderr: "" })));
  return {
    type: (keys: string) => child.stdin.write(keys),
    finished,
    shows: (pattern: RegExp) =>
      new Promise<void>((resolve, reject) => {
        const look = (): void => {
          if (!pattern.test(screen.text)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
        finished.then(() => reject(new Error(`ended before ${pattern}: ${screen.text}`)), reject);
      }),
  };
}

describe("guild at a terminal", () => {
  let home: Home;
  let workspace: string;
  before(async () => {
    home = new Home();
    workspace = join(home.directory, "workspace");
    mkdirSync(workspace);
    repository(workspace);
    assert.equal((await home.guild(["up"])).code, 0);
  });
  after(() => home.remove());

  const script = (name: string, ...steps: unknown[]) => `scripted:${home.write(name, JSON.stringify(steps))}`;
  const finish = { calls: [{ tool: "finish", args: { summary: "finished" } }] };
  const risky = { calls: [{ tool: "bash", args: { command: "rm -rf ../../../../nothing-of-this-name; echo risky >ran" } }] };

  it("shows the exact action before it asks, and runs it only when allowed", async () => {
    verifies("B5");
    const model = script("ask.json", risky, risky, finish);
    const run = atTerminal(home, ["run", "go", "--workspace", workspace, "--model", model]);
    await run.shows(/rm -rf \.\.\/\.\.\/\.\.\/\.\.\/nothing-of-this-name; echo risky >ran[^]*Allow this one action\? \[y\/N[^\]]*\] /);
    run.type("n\n");
    await run.shows(/Allow this one action[^]*Allow this one action/);
    assert.equal(existsSync(join(workspace, "ran")), false);
    run.type("y\n");
    const { code, stdout } = await run.finished;
    assert.equal(code, 0, stdout);
    assert.equal(existsSync(join(workspace, "ran")), true);
    assert.match(stdout, /refused[^]*approved[^]*done/);
  });

  it("tells what it waits for on a line that is rewritten", async () => {
    const model = script("slow.json", { delay_ms: 2500, ...finish });
    const { code, stdout } = await atTerminal(home, ["run", "go", "--workspace", workspace, "--model", model]).finished;
    assert.equal(code, 0, stdout);
    assert.match(stdout, /\r\x1b\[K[^\n]*(model|sandbox|working) · \d/);
    assert.match(stdout, /done[^]*1 step/);
  });

  it("Ctrl-C interrupts the session and says how to go on", async () => {
    const model = script("late.json", { delay_ms: 60_000, say: "late" });
    const run = atTerminal(home, ["run", "go", "--workspace", workspace, "--model", model]);
    await run.shows(/(model|sandbox|working) · /);
    run.type("\x03");
    const { code, stdout } = await run.finished;
    assert.equal(code, 130, stdout);
    assert.match(stdout, /interrupted[^]*guild session resume ses_/);
  });

  it("gives a command in a sandbox a terminal of its own", async () => {
    const run = atTerminal(home, [
      "sandbox",
      "exec",
      "--workspace",
      workspace,
      "--",
      "sh",
      "-c",
      "test -t 0 && stty size; read line; echo got $line; exit 4",
    ]);
    await run.shows(/\d+ \d+/);
    run.type("hello\r");
    const { code, stdout } = await run.finished;
    assert.match(stdout, /got hello/);
    assert.equal(code, 4);
  });
});
