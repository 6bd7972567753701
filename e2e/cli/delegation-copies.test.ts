import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { Home, jsonLines } from "./guild.ts";

const finish = (summary: string) => ({ calls: [{ tool: "finish", args: { summary } }] });
const bash = (command: string) => ({ calls: [{ tool: "bash", args: { command } }] });
const delegate = (args: Record<string, unknown>) => ({ tool: "delegate", args });
const apart = (goal: string, model: string, more: Record<string, unknown> = {}) =>
  delegate({ command: "start", goal, model: `role:${model}`, own_copy: true, ...more });

describe("agents with a copy of the workspace each", () => {
  let home: Home;
  let workspace: string;
  const lines = Array.from({ length: 20 }, (_, at) => `line ${at}`);
  const text = () => readFileSync(join(workspace, "text.txt"), "utf8");
  const script = (name: string, steps: unknown[]) => `scripted:${home.write(`${name}.json`, JSON.stringify(steps))}`;
  const run = (model: string, ...more: string[]) => [
    "run",
    "Do it.",
    "--workspace",
    workspace,
    "--model",
    model,
    "--json",
    "--yes",
    ...more,
  ];

  before(() => {
    home = new Home();
    workspace = home.sample();
    const role = (name: string, steps: unknown[]) => `${name} = "${script(name, steps)}"`;
    const roles = [
      role("first", [bash("sed -i 's/^line 2$/first/' text.txt; printf made >by-first; chmod +x by-first"), finish("first is done")]),
      role("second", [bash("test ! -e by-first && sed -i 's/^line 17$/second/' text.txt && rm gone.txt"), finish("second is done")]),
      role("third", [bash("sed -i 's/^line 9$/third/' text.txt"), finish("third is done")]),
      role("slow", [bash("touch begun; while [ ! -e go ]; do sleep 0.1; done; printf made >by-slow"), finish("slow is done")]),
      role("tired", [bash("printf half >half"), bash("true")]),
    ];
    home.write("guild/config/settings.toml", `[routes]\n${roles.join("\n")}\n`);
    writeFileSync(join(workspace, "text.txt"), `${lines.join("\n")}\n`);
    writeFileSync(join(workspace, "gone.txt"), "to be removed\n");
  });
  after(() => home.remove());

  it("have their changes merged, and what does not go together is reported and left as it is", async () => {
    verifies("E3", "B5");
    const model = script("parent", [
      { calls: [apart("One.", "first", { background: true }), apart("Two.", "second", { background: true })] },
      { calls: [delegate({ command: "wait" })] },
      { expect: { contains: ["merged here: by-first, text.txt", "merged here: gone.txt, text.txt"] }, ...bash("cat text.txt") },
      { expect: { contains: ["first\n", "second\n"] }, calls: [apart("Three.", "third", { background: true })] },
      bash("sed -i 's/^line 9$/mine/' text.txt"),
      { calls: [delegate({ command: "wait" })] },
      {
        expect: { contains: ["conflict: text.txt: it was changed on both sides in the same place", "+third"] },
        ...finish("all came back"),
      },
    ]);
    const { code, stdout, stderr } = await home.guild(run(model));
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /"summary":"all came back"/);
    const wanted = lines.map((line) => ({ "line 2": "first", "line 17": "second", "line 9": "mine" })[line] ?? line);
    assert.equal(text(), `${wanted.join("\n")}\n`);
    assert.equal(existsSync(join(workspace, "gone.txt")), false);
    assert.equal(readFileSync(join(workspace, "by-first"), "utf8"), "made");
    const copies = () => readdirSync(join(home.directory, "guild/data/results/copies"));
    for (let tries = 0; copies().length !== 1; tries++) {
      assert.ok(tries < 300, "only the one with a conflict is kept");
      await new Promise((resolve) => void setTimeout(resolve, 100));
    }
  });

  it("go on after the daemon was killed, and their changes arrive once", async () => {
    verifies("E3");
    const model = script("patient", [
      { calls: [apart("Wait.", "slow")] },
      { expect: { contains: "merged here: " }, ...finish("came back") },
    ]);
    const first = home.start(run(model));
    const session = /"id":"(ses_\w+)"/.exec(await first.until(/"tool":"delegate"/))?.[1] ?? "";
    const child = async () => {
      const shown = jsonLines((await home.guild(["session", "show", session, "--json"])).stdout);
      const id = shown[1]?.["id"];
      return typeof id === "string" ? id : "";
    };
    let files = "";
    for (let tries = 0; !existsSync(join(files, "begun")); tries++) {
      assert.ok(tries < 600, "the agent never began");
      files = join(home.directory, "guild/data/results/copies", await child(), "files");
      await new Promise((resolve) => void setTimeout(resolve, 100));
    }
    assert.equal(existsSync(join(workspace, "begun")), false, "nothing of it is here");
    process.kill(Number(jsonLines((await home.guild(["up", "--json"])).stdout)[0]?.["pid"]), "SIGKILL");
    await first.finished;
    writeFileSync(join(files, "go"), "");
    const { code, stdout } = await home.guild(["session", "resume", session, "--json"]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /"summary":"came back"/);
    assert.equal(existsSync(join(workspace, "begun")), true);
  });

  it("that give up leave their changes where they are, until somebody wants them", async () => {
    verifies("E3");
    const model = script("asking", [
      { calls: [apart("Try.", "tired", { max_steps: 1 })] },
      { expect: { contains: "not brought here: half" }, ...bash("test ! -e half && basename $(ls)") },
      { calls: [delegate({ command: "list" })] },
      finish("enough"),
    ]);
    const { code, stdout } = await home.guild(run(model));
    assert.equal(code, 0, stdout);
    assert.equal(existsSync(join(workspace, "half")), false);
  });

  it("are one with who works for a review, unless they have a copy of their own", async () => {
    verifies("E3");
    const model = script("reviewed", [
      bash("printf parent >by-parent"),
      { calls: [delegate({ command: "start", goal: "Here.", model: "role:first" })] },
      { calls: [apart("There.", "third")] },
      { expect: { contains: "status=" }, ...bash("test -e by-parent && cat text.txt") },
      finish("over"),
    ]);
    const before = text();
    const { code, stdout } = await home.guild(run(model, "--review"));
    assert.equal(code, 0, stdout);
    assert.equal(existsSync(join(workspace, "by-parent")), false);
    assert.equal(text(), before, "nothing reached the person's files");
    const session = String(jsonLines(stdout)[0]?.["id"]);
    const diff = await home.guild(["session", "diff", session]);
    assert.match(diff.stdout, /by-parent/);
  });
});
