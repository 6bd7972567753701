import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("the copy that a reviewed session works in", () => {
  let home: Home;
  let number = 0;
  before(() => void (home = new Home()));
  after(() => home.remove());

  const workspaceWith = (text: string): string => {
    const workspace = mkdtempSync(join(home.directory, "project-"));
    writeFileSync(join(workspace, "a.txt"), text);
    return workspace;
  };
  /** One turn a command. */
  const start = async (workspace: string, commands: string[]): Promise<string> => {
    const steps = commands.flatMap((command) => [
      { calls: [{ tool: "bash", args: { command } }] },
      { calls: [{ tool: "finish", args: { done: true, summary: "changed" } }] },
    ]);
    const script = home.write(`script-${(number += 1)}.json`, JSON.stringify({ description: "Changes.", steps }));
    const done = await home.guild([
      "run",
      "Change.",
      "--workspace",
      workspace,
      "--model",
      `scripted:${script}`,
      "--yes",
      "--json",
      "--review",
    ]);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    return String(jsonLines(done.stdout)[0]?.["id"]);
  };
  /** The next turn; how it ended. */
  const goOn = async (id: string): Promise<string> => {
    const ends = async (): Promise<string[]> =>
      jsonLines((await home.guild(["session", "events", id, "--json"])).stdout)
        .filter(({ kind }) => kind === "turn_ended")
        .map((event) => JSON.stringify(event["turn_ended"]));
    const before = (await ends()).length;
    const sent = await home.guild(["session", "send", id, "More."]);
    assert.equal(sent.code, 0, sent.stderr);
    for (;;) {
      const now = await ends();
      if (now.length > before) return now.at(-1) ?? "";
      await sleep(100);
    }
  };
  const copyOf = (id: string): string => join(home.directory, "guild/data/results/copies", id);
  const diff = async (id: string): Promise<string[]> =>
    jsonLines((await home.guild(["session", "diff", id, "--json"])).stdout)
      .filter(({ applied }) => applied !== true)
      .map(({ path }) => String(path));
  const read = (workspace: string, name: string): string => readFileSync(join(workspace, name), "utf8");

  it("goes when all was applied, and the session goes on with what the person has done since", async () => {
    verifies("F4");
    const workspace = workspaceWith("one\n");
    const id = await start(workspace, ["echo two >> a.txt; echo b > b.txt", "cat a.txt mine.txt > seen.txt; echo four >> a.txt"]);
    await home.guild(["session", "apply", id, "--paths", "b.txt"]);
    assert.ok(existsSync(copyOf(id)), "not all is decided");
    await home.guild(["session", "apply", id]);
    assert.ok(!existsSync(copyOf(id)));
    assert.deepEqual(await diff(id), []);

    writeFileSync(join(workspace, "a.txt"), "one\ntwo\nthree, mine\n");
    writeFileSync(join(workspace, "mine.txt"), "mine\n");
    assert.match(await goOn(id), /changed/);
    assert.deepEqual(await diff(id), ["a.txt", "seen.txt"], "what the person did is no change of the session's");
    assert.equal(read(workspace, "a.txt"), "one\ntwo\nthree, mine\n");
    assert.equal((await home.guild(["session", "apply", id])).code, 0);
    assert.equal(read(workspace, "seen.txt"), "one\ntwo\nthree, mine\nmine\n");
    assert.equal(read(workspace, "a.txt"), "one\ntwo\nthree, mine\nfour\n");
  });

  it("goes when what it holds is given up, of which nothing comes back", async () => {
    const workspace = workspaceWith("one\n");
    const id = await start(workspace, ["echo two > a.txt; echo made > new.txt", "echo three >> a.txt"]);
    const discarded = await home.guild(["session", "discard", id]);
    assert.equal(discarded.stdout, "discarded a.txt\ndiscarded new.txt\n", discarded.stderr);
    assert.ok(!existsSync(copyOf(id)));
    assert.equal((await home.guild(["session", "apply", id])).stdout, "nothing to apply\n");
    assert.equal((await home.guild(["session", "discard", id])).stdout, "nothing to discard\n");
    assert.deepEqual([read(workspace, "a.txt"), existsSync(join(workspace, "new.txt"))], ["one\n", false]);
    assert.match(await goOn(id), /changed/);
    assert.deepEqual(await diff(id), ["a.txt"]);
    await home.guild(["session", "apply", id]);
    assert.equal(read(workspace, "a.txt"), "one\nthree\n");
  });

  it("goes after weeks without work, while its changes stay to be decided upon", async () => {
    const workspace = workspaceWith("one\n");
    const old = await start(workspace, ["echo two >> a.txt", "echo three >> a.txt"]);
    await home.guild(["down"]);
    const long = Date.now() / 1000 - 15 * 86_400;
    utimesSync(copyOf(old), long, long);
    const other = await start(workspaceWith("other\n"), ["echo more >> a.txt"]);
    assert.ok(!existsSync(join(copyOf(old), "files")));
    assert.ok(existsSync(join(copyOf(other), "files")));
    assert.match(await goOn(old), /removed after 14 days.*guild session apply/);
    assert.deepEqual(await diff(old), ["a.txt"]);
    assert.equal((await home.guild(["session", "apply", old])).code, 0);
    assert.equal(read(workspace, "a.txt"), "one\ntwo\n");
    assert.ok(!existsSync(copyOf(old)));
  });
});
