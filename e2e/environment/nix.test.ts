import assert from "node:assert/strict";
import { chmodSync, cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { writeFixtureFlake } from "../../packages/environment/src/testing/fixture-flake.ts";
import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

/** A home whose Nix has a store of its own, as another worker's would. */
function worker(): { home: Home; workspace: string } {
  const home = new Home();
  chmodSync(home.directory, 0o755);
  const store = join(home.directory, "nix-store");
  home.write("guild/config/settings.toml", `[environment]\nnix_store = ${JSON.stringify(store)}\nnix_substituters = []\n`);
  const workspace = join(home.directory, "project");
  mkdirSync(workspace);
  return { home, workspace };
}

// One daemon and one store for all: a new one costs more than any of these.
describe("environments of Nix", () => {
  let own: ReturnType<typeof worker>;
  let home: Home;
  before(() => {
    own = worker();
    ({ home } = own);
  });
  after(() => home.remove());

  describe("a project with a flake", () => {
    let workspace = "";
    before(() => {
      ({ workspace } = own);
      writeFixtureFlake(workspace, { version: "0.9.0" });
    });

    const show = async () => jsonLines((await home.guild(["env", "show", "--workspace", workspace, "--json"])).stdout)[0] ?? {};

    it("is not evaluated before it is trusted, and the difference is said", async () => {
      verifies("B1");
      const before_ = await show();
      assert.equal(before_["kind"], "host");
      assert.match(String(before_["differences"]), /flake\.nix is not used: flake\.nix is not trusted/);
      assert.equal((await home.guild(["trust", "add", workspace])).code, 0);
      const shown = await show();
      assert.deepEqual([shown["kind"], shown["source"], shown["pure"]], ["nix", "flake.nix", true]);
      const tools = shown["tools"] as Array<Record<string, string>>;
      assert.match(tools.find(({ name }) => name === "git")?.["version"] ?? "", /^\d+\.\d+/, "asked where there is nothing but a shell");
      assert.equal((await show())["hash"], shown["hash"]);
    });

    it("goes on without it, in one line, when it is broken, and where the sandbox cannot show it", async () => {
      writeFileSync(join(workspace, "flake.nix"), "{ outputs = ");
      assert.equal((await home.guild(["trust", "add", workspace])).code, 0);
      const broken = await show();
      assert.equal(broken["kind"], "nix");
      assert.match(String(broken["differences"]), /flake\.nix is not used: Nix says: .*syntax error.*generation 2 stays/);
      const host = await home.guild(["env", "show", "--workspace", workspace, "--sandbox", "host", "--json"]);
      assert.match(host.stdout, /this sandbox cannot show the Nix store/);
    });
  });

  describe("generations of an environment", () => {
    let workspace = "";
    before(() => {
      workspace = join(home.directory, "generations");
      mkdirSync(workspace);
    });

    const env = async (...args: string[]) => {
      const done = await home.guild(["env", ...args, "--workspace", workspace, "--json"]);
      return { ...done, lines: jsonLines(done.stdout) };
    };
    const flake = async (options: Parameters<typeof writeFixtureFlake>[1]) => {
      writeFixtureFlake(workspace, options);
      await home.guild(["trust", "add", workspace]);
    };

    it("are made by changes, which are told; one that fails changes nothing", async () => {
      verifies("B3");
      await flake({ version: "1.0.0" });
      const first = await env("set");
      assert.deepEqual([first.code, first.lines[0]?.["number"], first.lines[0]?.["kind"]], [0, 1, "nix"], first.stderr);
      await flake({ version: "2.0.0" });
      const second = await env("set");
      assert.equal(second.lines[0]?.["number"], 2);
      assert.deepEqual(second.lines[0]?.["difference"], ["variable changed: GREET_VERSION"]);
      assert.match(second.stderr, /building .*greet-version/);
      assert.deepEqual((await env("diff", "1", "2")).lines[0]?.["difference"], ["variable changed: GREET_VERSION"]);
      await flake({ broken: "{ outputs = " });
      const broken = await env("set");
      assert.equal(broken.code, 1);
      assert.match(broken.stderr, /flake\.nix is not used: Nix says: .*syntax error.*nothing has been changed/);
      await flake({ version: "2.0.0" });
    });

    it("switch a session that runs before its next step, which is told; the hash is in its log", async () => {
      verifies("B3");
      const wait = "until [ -e go ]; do read -t 0.1 <> <(:); done; greet";
      const steps = [
        { calls: [{ tool: "bash", args: { command: wait } }] },
        { calls: [{ tool: "bash", args: { command: "greet" } }] },
        { calls: [{ tool: "finish", args: { done: true, summary: "greeted twice" } }] },
      ];
      const script = home.write("greet.json", JSON.stringify({ description: "Greets.", steps }));
      const run = home.start(["run", "Greet.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"]);
      await run.until(/"action_started"/);
      const back = await env("rollback");
      assert.deepEqual([back.lines[0]?.["number"], back.lines[0]?.["held"]], [1, true], back.stderr);
      writeFileSync(join(workspace, "go"), "");
      const { code, stdout, stderr } = await run.finished;
      assert.equal(code, 0, stderr);
      const events = jsonLines(stdout);
      const bodies = (kind: string) =>
        events.filter((event) => event["kind"] === kind).map((event) => event[kind] as Record<string, string>);
      const outputs = bodies("action_finished").map((body) => body["output"] ?? "");
      assert.match(outputs[0] ?? "", /greet 2\.0\.0/);
      assert.match(outputs[1] ?? "", /greet 1\.0\.0/);
      const notice = bodies("notice_given").find(({ kind }) => kind === "environment");
      assert.match(notice?.["text"] ?? "", /The environment is generation 1 .*variable changed: GREET_VERSION/s);
      assert.equal(notice?.["environment_hash"], (await env("show")).lines[0]?.["hash"]);
    });

    it("are held after a roll-back until the project's own is set again, listed, and verified", async () => {
      const verified = await env("verify");
      assert.deepEqual([verified.code, verified.lines[0]?.["same"]], [1, false]);
      assert.equal((await env("set")).lines[0]?.["number"], 3);
      assert.equal((await env("verify")).code, 0);
      const history = (await env("history")).lines;
      assert.deepEqual(
        history.map(({ number, current, held }) => [number, current, held]),
        [
          [1, false, false],
          [2, false, false],
          [3, true, false],
        ],
      );
      assert.match((await env("rollback", "9")).stderr, /no generation 9.*guild env history/);
    });

    it("come out the same on another worker, which need not build what was copied to it", async () => {
      verifies("B2");
      const copies = join(home.directory, "copies");
      mkdirSync(copies, { mode: 0o777 });
      chmodSync(copies, 0o777);
      const copied = await env("copy", "--to", copies);
      assert.equal(copied.code, 0, copied.stderr);
      const other = worker();
      try {
        cpSync(workspace, other.workspace, { recursive: true });
        await other.home.guild(["trust", "add", other.workspace]);
        const place = ["--workspace", other.workspace, "--json"];
        const fetched = await other.home.guild(["env", "copy", "--from", copies, ...place]);
        assert.equal(fetched.code, 0, fetched.stderr);
        const set = await other.home.guild(["env", "set", ...place]);
        assert.equal(set.code, 0, set.stderr);
        assert.doesNotMatch(set.stderr, /building .*greet-version/);
        assert.equal(jsonLines(set.stdout)[0]?.["hash"], (await env("show")).lines[0]?.["hash"]);
      } finally {
        await other.home.remove();
      }
    });

    it("are forgotten but for the newest, and what only they had is freed", async () => {
      const collected = await env("gc", "--keep", "1");
      assert.deepEqual(collected.lines[0]?.["removed"], [1, 2], collected.stderr);
      assert.match(String(collected.lines[0]?.["freed"]), /^\d+ store paths deleted, .* freed$/);
      const [shown = {}] = (await env("show")).lines;
      const version = String((shown["variables"] as Record<string, string>)["GREET_VERSION"]);
      assert.ok(existsSync(version.replace("/nix/store", join(home.directory, "nix-store/root/nix/store"))));
      assert.match((await env("rollback")).stderr, /no earlier generation/);
    });

    it("begin with a flake that is drafted from what the project declares", async () => {
      const project = join(home.directory, "plain");
      mkdirSync(project);
      writeFileSync(join(project, "package.json"), "{}");
      writeFileSync(join(project, ".nvmrc"), "22\n");
      const made = await home.guild(["env", "init", "--workspace", project]);
      assert.equal(made.code, 0, made.stderr);
      const again = await home.guild(["env", "init", "--workspace", project]);
      assert.deepEqual([again.code, /there is a flake already/.test(again.stderr)], [1, true]);
      const { stdout } = await home.guild(["env", "init", "--print", "--workspace", project]);
      assert.match(stdout, /packages = with pkgs; \[ bashInteractive coreutils git nodejs_22 \]/);
    });

    it("are refused by a worker that has never had the one that a session began in, until it can be had", async () => {
      verifies("B2");
      const greet = { calls: [{ tool: "bash", args: { command: "greet" } }] };
      const steps = [
        greet,
        greet, // refused
        greet,
        { calls: [{ tool: "finish", args: { done: true, summary: "greeted" } }] },
      ];
      const script = home.write("twice.json", JSON.stringify({ description: "Greets.", steps }));
      const model = ["--model", `scripted:${script}`, "--json"];
      const begun = await home.guild(["run", "Greet.", "--workspace", workspace, "--max-steps", "1", "--yes", ...model]);
      const session = String(jsonLines(begun.stdout)[0]?.["id"]);
      const outputs = (stdout: string) =>
        jsonLines(stdout).flatMap((event) => (event["action_finished"] as { output?: string } | undefined)?.output ?? []);
      assert.match(outputs(begun.stdout)[0] ?? "", /greet 2\.0\.0/, begun.stderr);
      await flake({ version: "9.0.0" });
      // What a worker knows of environments is in this directory: it is another worker now, that shares the log.
      await home.guild(["down"]);
      rmSync(join(home.directory, "guild/data/environments"), { recursive: true });
      const refused = await home.guild(["session", "resume", session, "--max-steps", "2", ...model]);
      assert.match(
        outputs(refused.stdout).at(-1) ?? "",
        /Refused by environment: the session's environment sha256:.* cannot be had here/,
        refused.stdout,
      );
      await flake({ version: "2.0.0" });
      await home.guild(["down"]);
      const resumed = await home.guild(["session", "resume", session, "--max-steps", "9", ...model]);
      assert.deepEqual(
        [resumed.code, /greet 2\.0\.0/.test(outputs(resumed.stdout).join("\n"))],
        [0, true],
        resumed.stdout + resumed.stderr,
      );
    });
  });
});
