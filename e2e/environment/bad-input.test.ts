import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";

import { writeFixtureFlake } from "../../packages/environment/src/testing/fixture-flake.ts";
import { mountOverlay } from "../../packages/sandbox/src/testing/overlay.ts";
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
  const settings = (...more: string[]): void => {
    const store = more.some((line) => line.startsWith("nix_store"))
      ? "nix_substituters = []"
      : `nix_store = ${JSON.stringify(join(home.directory, "nix-store"))}\nnix_substituters = []`;
    home.write("guild/config/settings.toml", `[environment]\n${store}\nlanguage_servers = ["odd .odd = sh ./hurts"]\n${more.join("\n")}\n`);
  };
  const differences = async (directory: string): Promise<{ told: string; kind: unknown; generation: unknown }> => {
    const [shown = {}] = jsonLines((await home.guild(["env", "show", "--workspace", directory, "--json"])).stdout);
    return { told: (shown["differences"] as string[]).join("\n"), kind: shown["kind"], generation: shown["generation"] };
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
    settings();
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
      settings(`nix_store = ${JSON.stringify(small("full-store", 3))}`);
      const directory = workspace("flake");
      writeFixtureFlake(directory, { version: "1.0.0" });
      await home.guild(["trust", "add", directory]);
      const [shown = {}] = jsonLines((await home.guild(["env", "show", "--workspace", directory, "--json"])).stdout);
      assert.match(String(shown["differences"]), /flake\.nix is not used: the disk of the Nix store is full/);
      assert.equal(shown["kind"], "host");
      const { outputs } = await run(directory, [{ tool: "bash", args: { command: "echo here" } }]);
      assert.match(outputs[0] ?? "", /here/);
      settings();
    },
  );

  it("is told: that Nix is missing, or its program is none, and the former generation stays; the session goes on without it", async () => {
    verifies("B1");
    const directory = workspace("missing");
    writeFixtureFlake(directory, { version: "1.0.0" });
    await home.guild(["trust", "add", directory]);
    settings('nix_program = "no-such-nix"');
    try {
      const missing = await differences(directory);
      assert.match(
        missing.told,
        /^flake\.nix is not used: Nix is not installed here — install it \(Debian: apt-get install nix-bin\)[^\n]*$/m,
      );
      assert.equal(missing.kind, "host");
      const { outputs } = await run(directory, [{ tool: "bash", args: { command: "echo here" } }]);
      assert.match(outputs[0] ?? "", /here/);
      const set = await home.guild(["env", "set", "--workspace", directory]);
      assert.equal(set.code, 1);
      assert.match(set.stderr, /Nix is not installed here.*nothing has been changed/);
      assert.equal(set.stderr.trim().split("\n").length, 1);
    } finally {
      settings();
    }
  });

  it("is told: a lock file that is out of date, which is not written; the former generation stays", async () => {
    verifies("B1");
    const directory = workspace("lock");
    writeFixtureFlake(directory, { version: "1.0.0" });
    await home.guild(["trust", "add", directory]);
    const former = await differences(directory);
    assert.deepEqual([former.kind, former.generation], ["nix", 1], former.told);
    const input = workspace("input");
    writeFileSync(join(input, "flake.nix"), "{ outputs = _: { }; }");
    writeFileSync(join(directory, "flake.lock"), JSON.stringify({ nodes: { root: {} }, root: "root", version: 7 }));
    const flake = readFileSync(join(directory, "flake.nix"), "utf8");
    writeFileSync(
      join(directory, "flake.nix"),
      flake.replace("outputs = { self }", `inputs.x.url = "path:${input}"; outputs = { self, x }`),
    );
    await home.guild(["trust", "add", directory]);
    const stale = await differences(directory);
    assert.match(
      stale.told,
      /^flake\.nix is not used: the flake's lock file is out of date — run nix flake lock in the project, and commit it; generation 1 stays$/m,
    );
    assert.deepEqual([stale.kind, stale.generation], ["nix", 1]);
    assert.equal(JSON.parse(readFileSync(join(directory, "flake.lock"), "utf8")).nodes.x, undefined);
    const { outputs } = await run(directory, [{ tool: "bash", args: { command: "greet" } }]);
    assert.match(outputs[0] ?? "", /greet 1\.0\.0/);
  });

  it("is told: a shell hook that never ends, after as long as the settings give it", async () => {
    verifies("B1");
    const directory = workspace("endless");
    writeFixtureFlake(directory, { version: "1.0.0", hook: "while :; do :; done" });
    await home.guild(["trust", "add", directory]);
    assert.equal((await differences(directory)).kind, "nix");
    settings("timeout_seconds = 3");
    try {
      const { outputs, told } = await run(directory, [{ tool: "bash", args: { command: "greet" } }]);
      assert.match(told, /The environment's shell hook had no effect: it was not done after 3 s/);
      assert.match(outputs[0] ?? "", /greet 1\.0\.0/);
    } finally {
      settings();
    }
  });

  it(
    "is told nothing of what it did itself on a copy of the workspace, and of what others did",
    { skip: !asRoot && "only root can mount a file system" },
    async () => {
      verifies("B7");
      const overlay = await mountOverlay();
      try {
        const { directory } = overlay;
        chmodSync(dirname(directory), 0o755);
        writeFileSync(join(directory, "a.txt"), "one\n");
        writeFileSync(join(directory, "b.txt"), "one\n");
        const edit = (path: string, text: string) => ({ tool: "edit", args: { command: "create", path, file_text: text } });
        const view = (path: string) => ({ tool: "edit", args: { command: "view", path } });
        const { outputs, told } = await run(
          directory,
          [
            view("a.txt"),
            view("b.txt"),
            edit("a.txt", "two\n"),
            { tool: "bash", args: { command: "echo made > made.txt; true" } },
            edit("a.txt", "three\n"),
            { tool: "bash", args: { command: "until [ -e go ]; do sleep 0.1; [ $((n++)) -lt 5 ] || exit 0; done" } },
            { tool: "bash", args: { command: "cat a.txt made.txt; sleep 0.2" } },
            edit("b.txt", "agent\n"),
          ],
          () => writeFileSync(join(directory, "b.txt"), "a person's\n"),
        );
        assert.match(outputs[4] ?? "", /Replaced all of a\.txt/);
        assert.match(outputs[6] ?? "", /three\nmade/);
        assert.match(told, /b\.txt/);
        assert.doesNotMatch(told, /a\.txt|made\.txt/);
        assert.match(outputs[7] ?? "", /Refused by state: b\.txt was changed from outside/);
        assert.equal(readFileSync(join(directory, "b.txt"), "utf8"), "a person's\n");
      } finally {
        await home.guild(["down", "--now"]);
        await overlay.close();
      }
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
