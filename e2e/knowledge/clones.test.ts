import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, renameSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const script = `
steps:
  - calls: [{ tool: recall, args: { query: "which port has the staging database" } }]
  - expect: { contains: "listens on port 6543" }
    calls: [{ tool: finish, args: { summary: found } }]
`;

describe("what is known of a repository", () => {
  let home: Home;
  before(() => {
    home = new Home();
    // By words alone: this is about whose it is, not about how it is found.
    home.write("guild/config/settings.toml", '[knowledge]\nvectors = "memory"\nembedder = "anthropic/none"\n');
  });
  after(() => home.remove());

  it("is known in its other clones and after a move, and what was learned before it was a repository goes along", async () => {
    verifies("C6");
    const git = (cwd: string, ...args: string[]) =>
      execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", ...args], { cwd, stdio: "pipe" });
    const workspace = mkdtempSync(join(home.directory, "ws-"));
    const add = async (text: string) => {
      const added = await home.guild(["knowledge", "add", text, "--workspace", workspace, "--json"]);
      assert.equal(added.code, 0, added.stderr);
    };
    await add("The staging database listens on port 6543.");
    git(workspace, "init", "-q");
    git(workspace, "commit", "-q", "--allow-empty", "-m", "first");
    await add("The release branch is cut on Tuesdays.");
    const model = home.write("recall.yaml", script);
    const run = await home.guild([
      "run",
      "Which port?",
      "--workspace",
      workspace,
      "--sandbox",
      "host",
      "--model",
      `scripted:${model}`,
      "--json",
    ]);
    assert.equal(run.code, 0, run.stdout + run.stderr);

    git(home.directory, "clone", "-q", workspace, "clone");
    renameSync(workspace, join(home.directory, "elsewhere"));
    for (const place of ["clone", "elsewhere"])
      for (const [query, answer] of [
        ["staging database port", /6543/],
        ["release branch", /Tuesdays/],
      ] as const) {
        const at = ["--scope", "project", "--workspace", join(home.directory, place)];
        const [found] = jsonLines((await home.guild(["knowledge", "search", query, ...at, "--json"])).stdout);
        assert.match(String(found?.["text"]), answer, place);
      }
  });
});
