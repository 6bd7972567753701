import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { startDockerEngine, type TestEngine } from "@guildhall/sandbox/testing";

import { Home, jsonLines, repository } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";
import { devcontainerCases } from "./devcontainer-cases.ts";
import { PROJECTS, put, STEPS } from "./projects.ts";
import { smallImage } from "./small-image.ts";

const asRoot = process.getuid?.() === 0;

describe("environments", () => {
  let home: Home;
  let other: Home;
  let engine: TestEngine | undefined;
  const projects = PROJECTS.filter(({ sandbox }) => asRoot || sandbox !== "docker");

  const settings = (...more: string[]): void => {
    for (const one of [home, other]) {
      const nix = `[environment]\nnix_store = ${JSON.stringify(join(one.directory, "nix-store"))}\nnix_substituters = []\n`;
      const docker = engine === undefined ? "" : `[sandbox]\ndocker_host = ${JSON.stringify(engine.host)}\n`;
      one.write("guild/config/settings.toml", `${docker}${nix}${more.join("\n")}\n`);
    }
  };

  before(async () => {
    engine = asRoot ? await startDockerEngine() : undefined;
    [home, other] = [new Home(), new Home()];
    for (const one of [home, other]) chmodSync(one.directory, 0o755);
    settings();
    if (engine !== undefined) smallImage(home, engine.host, "small");
  });
  after(async () => {
    await home.remove();
    await other.remove();
    await engine?.close();
  });

  // Side by side: each waits most of the time.
  describe("a session in a project's environment", { concurrency: true }, () => {
    for (const [at, project] of projects.entries()) {
      it(`of a ${project.name}: runs in it, knows it, sees what changes around it, goes back, and is the same elsewhere`, async () => {
        verifies("B1", "B2", "B3", "B6", "B7", "H1");
        const { kind, source, tool, declare } = project;
        const port = 18_080 + at;
        const workspace = join(home.directory, project.name);
        const place = ["--workspace", workspace, ...(project.sandbox === undefined ? [] : ["--sandbox", project.sandbox])];
        const env = async (...args: string[]) => {
          const { code, stdout, stderr } = await home.guild(["env", ...args, ...place, "--json"]);
          assert.equal(code, 0, stderr);
          return jsonLines(stdout)[0] ?? {};
        };
        const act = async (name: string, steps: unknown[], meanwhile?: () => void) => {
          const script = home.write(`${name}.json`, JSON.stringify({ description: name, steps }));
          const run = home.start(["run", `${name}.`, ...place, "--model", `scripted:${script}`, "--yes", "--json"]);
          if (meanwhile !== undefined) {
            await run.until(/"action_started".*until \[ -e go \]|until \[ -e go \].*"action_started"/s);
            meanwhile();
          }
          const { code, stdout, stderr } = await run.finished;
          assert.equal(code, 0, stderr + stdout);
          const events = jsonLines(stdout);
          return (wanted: string) =>
            events.filter((event) => event["kind"] === wanted).map((event) => event[wanted] as Record<string, string>);
        };

        put(workspace, "tsconfig.json", '{"compilerOptions": {"strict": true, "types": []}}');
        put(workspace, "a.ts", "export function same(a: number): number {\n  return a;\n}\n");
        put(workspace, "notes.txt", "mine\n");
        declare(home, workspace, "2.0.0");
        repository(workspace);
        await home.guild(["trust", "add", workspace]);
        const shown = await env("show");
        assert.deepEqual([shown["kind"], shown["source"], shown["generation"]], [kind, source, 1], String(shown["differences"]));
        assert.match(String(shown["hash"]), /^sha256:[0-9a-f]{64}$/);
        for (const part of ["tools", "scripts", "language_servers"]) assert.ok(Array.isArray(shown[part]), part);

        const bodies = await act(`Look at the ${project.name}`, STEPS(project, port), () => {
          execFileSync("git", ["switch", "--quiet", "--create", "feature"], { cwd: workspace });
          writeFileSync(join(workspace, "notes.txt"), "a person's\n");
          writeFileSync(join(workspace, "go"), "");
        });
        const [started] = bodies("session_started");
        assert.equal(started?.["environment_hash"], shown["hash"]);
        assert.equal(bodies("checkpoint_made")[0]?.["environment_hash"], shown["hash"]);
        for (const part of ["Platform: ", "Git: branch main", String(shown["hash"]).slice(0, 19), ...project.told])
          assert.ok(started?.["system_prompt"]?.includes(part), `${part} is not in ${started?.["system_prompt"]}`);
        const [, ran = "", refused = "", broken = ""] = bodies("action_finished").map(({ output }) => output ?? "");
        assert.match(ran, /2\.0\.0/);
        assert.match(ran, project.also.prints(workspace));
        assert.match(refused, /Refused by state: notes\.txt was changed from outside/);
        assert.match(broken, /new with this edit\]\na\.ts:2:3: error 2322: Type 'string' is not assignable to type 'number'/);
        const told = bodies("notice_given")
          .filter((notice) => notice["kind"] === "environment")
          .map(({ text }) => text)
          .join("\n");
        assert.match(told, /The branch is feature now; it was main/);
        assert.match(told, /Changed since you looked at it.*notes\.txt/);
        assert.match(told, new RegExp(`Listening now: port ${port}`));
        assert.match(told, /Running in the background now: \S+ \(process \d+\)/);
        if (project.began !== undefined) assert.match(told, project.began);
        assert.ok(told.length < 2_000);

        declare(home, workspace, "3.0.0");
        await home.guild(["trust", "add", workspace]);
        assert.notEqual((await env("set"))["hash"], shown["hash"]);
        assert.equal((await env("rollback"))["number"], 1);
        const again = await act(`Back in the ${project.name}`, [
          { calls: [{ tool: "bash", args: { command: tool.command } }] },
          { calls: [{ tool: "finish", args: { done: true, summary: "back" } }] },
        ]);
        assert.match(again("action_finished")[0]?.["output"] ?? "", /2\.0\.0/);
        assert.equal(again("session_started")[0]?.["environment_hash"], shown["hash"]);

        const elsewhere = join(other.directory, "somewhere", project.name);
        put(elsewhere, "tsconfig.json", "{}");
        declare(other, elsewhere, "2.0.0");
        await other.guild(["trust", "add", elsewhere]);
        const [there = {}] = jsonLines((await other.guild(["env", "show", "--workspace", elsewhere, ...place.slice(2), "--json"])).stdout);
        assert.equal(there["hash"], shown["hash"]);
      });
    }
  });

  describe("a project with a devcontainer", { skip: !asRoot && "only root can start a Docker engine" }, () => {
    devcontainerCases(() => ({ home, host: engine?.host ?? "", settings }));
  });
});
