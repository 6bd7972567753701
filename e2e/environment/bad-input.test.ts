import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { writeFixtureFlake } from "../../packages/environment/src/testing/fixture-flake.ts";
import { Home, jsonLines, repository } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const asRoot = process.getuid?.() === 0;
const GIBI = 2 ** 30;

describe("what goes wrong around a session", () => {
  let home: Home;
  const mounted: string[] = [];

  /** A directory that is a file system of so many mebibytes. */
  const small = (name: string, mebi: number): string => {
    const directory = join(home.directory, name);
    mkdirSync(directory);
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebi}m,mode=755`, "none", directory]);
    mounted.push(directory);
    return directory;
  };
  const workspace = (name: string): string => {
    const directory = join(home.directory, name);
    mkdirSync(directory);
    return directory;
  };
  /** Runs a script of calls to its end; what was observed, and what was told of the environment. */
  const run = async (directory: string, calls: Array<{ tool: string; args: object }>, meanwhile?: () => void) => {
    const steps = [...calls.map((call) => ({ calls: [call] })), { calls: [{ tool: "finish", args: { done: true, summary: "went on" } }] }];
    const script = home.write("script.json", JSON.stringify({ description: "Goes on.", steps }));
    const started = home.start(["run", "Go on.", "--workspace", directory, "--model", `scripted:${script}`, "--yes", "--json"]);
    if (meanwhile !== undefined) {
      await started.until(/"action_started".*until \[ -e go \]|until \[ -e go \].*"action_started"/s);
      meanwhile();
    }
    const { code, stdout, stderr } = await started.finished;
    assert.equal(code, 0, stderr + stdout);
    const texts = (kind: string, field: string) =>
      jsonLines(stdout)
        .filter((event) => event["kind"] === kind)
        .map((event) => (event[kind] as Record<string, string>)[field] ?? "");
    return {
      outputs: texts("action_finished", "output"),
      told: texts("notice_given", "text").join("\n"),
      omitted: texts("checkpoint_made", "omitted"),
      stored: texts("checkpoint_made", "stored_bytes").map(Number),
    };
  };

  before(() => {
    home = new Home();
    chmodSync(home.directory, 0o755);
    home.write(
      "guild/config/settings.toml",
      `[environment]\nnix_store = ${JSON.stringify(join(home.directory, "nix-store"))}\nnix_substituters = []\nlanguage_servers = ["odd .odd = sh ./hurts"]\n`,
    );
  });
  after(async () => {
    await home.guild(["down", "--now"]);
    for (const directory of mounted) execFileSync("umount", ["--lazy", directory]);
    await home.remove();
  });

  it("is told: a disk that is short", { skip: !asRoot && "only root can mount a file system" }, async () => {
    verifies("B7");
    const directory = small("short", 64);
    writeFileSync(join(directory, "filler"), Buffer.alloc(60 * 2 ** 20));
    const { told } = await run(directory, [{ tool: "bash", args: { command: "sleep 0.2" } }]);
    assert.match(told, /Disk is short: \d+ of 64 MiB are free where the workspace is/);
  });

  it(
    "is told: a Nix store that is full, and the session goes on without it",
    { skip: !asRoot && "only root can mount a file system" },
    async () => {
      verifies("B1");
      small("nix-store", 3);
      const directory = workspace("flake");
      writeFixtureFlake(directory, { version: "1.0.0" });
      await home.guild(["trust", "add", directory]);
      const [shown = {}] = jsonLines((await home.guild(["env", "show", "--workspace", directory, "--json"])).stdout);
      assert.match(String(shown["differences"]), /flake\.nix is not used: the disk of the Nix store is full/);
      assert.equal(shown["kind"], "host");
      const { outputs } = await run(directory, [{ tool: "bash", args: { command: "echo here" } }]);
      assert.match(outputs[0] ?? "", /here/);
    },
  );

  it("is told: a language server that dies again and again", async () => {
    verifies("H1");
    const directory = workspace("odd");
    writeFileSync(join(directory, "hurts"), "echo 'it hurts' >&2\nexit 3\n");
    writeFileSync(join(directory, "a.odd"), "one\n");
    const edit = (from: string, to: string) => ({
      tool: "edit",
      args: { command: "str_replace", path: "a.odd", old_str: from, new_str: to },
    });
    const { outputs } = await run(directory, [edit("one", "two"), edit("two", "three"), { tool: "bash", args: { command: "cat a.odd" } }]);
    assert.match(outputs[0] ?? "", /no diagnostics for this edit: the odd language server has died 4 times and is given up/);
    assert.match(outputs[2] ?? "", /three/);
  });

  it("is told: 10 GB of changed files", async () => {
    verifies("B7");
    const directory = workspace("large");
    writeFileSync(join(directory, "large0.bin"), "small\n");
    repository(directory);
    const { outputs, told, omitted, stored } = await run(
      directory,
      [
        { tool: "edit", args: { command: "view", path: "large0.bin" } },
        { tool: "bash", args: { command: "until [ -e go ]; do sleep 0.1; done; sleep 0.3" } },
        { tool: "bash", args: { command: "ls *.bin | wc -l" } },
      ],
      () => {
        for (let at = 0; at < 10; at++) {
          const file = openSync(join(directory, `large${at}.bin`), "w");
          ftruncateSync(file, GIBI);
          closeSync(file);
        }
        writeFileSync(join(directory, "go"), "");
      },
    );
    assert.match(outputs[2] ?? "", /^10\n/);
    assert.match(omitted.join("\n"), /files over the size limit: large0\.bin, .* and 4 more/);
    assert.ok(stored.reduce((sum, one) => sum + one, 0) < 2 ** 20);
    assert.match(told, /large0\.bin/);
  });
});
