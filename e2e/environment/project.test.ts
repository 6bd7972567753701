import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

// One daemon for all: a new one costs as much as most of these.
describe("a project as it is found", () => {
  let home: Home;
  before(() => {
    home = new Home();
    chmodSync(home.directory, 0o755);
  });
  after(() => home.remove());

  describe("a project's environment", () => {
    let workspace = "";

    const write = (path: string, text: string, mode = 0o644): void => {
      mkdirSync(dirname(join(home.directory, path)), { recursive: true });
      writeFileSync(join(home.directory, path), text, { mode });
    };

    before(() => {
      workspace = join(home.directory, "told");
      write("told/package.json", JSON.stringify({ scripts: { test: "node --test", lint: "eslint ." } }));
      write("told/package-lock.json", "{}");
      write("told/.nvmrc", "v23\n");
      write(".nvm/versions/node/v23.1.0/bin/node", "#!/bin/sh\necho v23.1.0\n", 0o755);
    });
    it("is shown with its hash, source, tools, scripts and how the project is worked on", async () => {
      verifies("B6");
      const shown = await home.guild(["env", "show", "--workspace", workspace, "--json"]);
      assert.equal(shown.code, 0, shown.stderr);
      const [environment = {}] = jsonLines(shown.stdout);
      assert.match(String(environment["hash"]), /^sha256:[0-9a-f]{64}$/);
      assert.deepEqual([environment["source"], environment["generation"]], [".nvmrc", 1]);
      const tools = environment["tools"] as Array<Record<string, string>>;
      assert.deepEqual(
        tools.filter(({ name }) => name === "node").map(({ version, wanted }) => [version, wanted]),
        [["23.1.0", "23"]],
      );
      assert.deepEqual(environment["scripts"], [{ directory: "", manager: "npm", scripts: { lint: "eslint .", test: "node --test" } }]);
      assert.ok(Array.isArray(environment["language_servers"]));
      const again = await home.guild(["env", "show", "--workspace", workspace]);
      assert.match(again.stdout, new RegExp(String(environment["hash"])));
      assert.match(again.stdout, /test +npm test/);
    });

    it("differs, and says how, where what is asked for is not there", async () => {
      write("other/.tool-versions", "node 99.0.0\nzig 0.12\n");
      const { code, stdout } = await home.guild(["env", "show", "--workspace", join(home.directory, "other")]);
      assert.equal(code, 0);
      assert.match(stdout, /differs \.tool-versions asks for node 99\.0\.0: here it is/);
      assert.match(stdout, /differs \.tool-versions asks for zig 0\.12: there is no zig here/);
    });
  });

  describe("a project's package managers and build tools", () => {
    let workspace = "";

    before(() => {
      const advisories = join(home.directory, "advisories");
      home.write("guild/config/settings.toml", `[environment]\nadvisories = ${JSON.stringify(advisories)}\n`);
      const affected = [
        { package: { ecosystem: "npm", name: "leaky" }, ranges: [{ type: "SEMVER", events: [{ introduced: "0" }, { fixed: "1.0.1" }] }] },
      ];
      home.write("advisories/one.json", JSON.stringify({ id: "GHSA-fixture", summary: "It leaks", affected }));
      workspace = join(home.directory, "project");
      mkdirSync(join(workspace, "native"), { recursive: true });
      const scripts = { test: "echo 'src/a.ts(3,7): error TS2322: Not a number.'; exit 2" };
      writeFileSync(join(workspace, "package.json"), JSON.stringify({ scripts }));
      writeFileSync(
        join(workspace, "package-lock.json"),
        JSON.stringify({ packages: { "": {}, "node_modules/leaky": { version: "1.0.0" } } }),
      );
      writeFileSync(join(workspace, "native/Makefile"), "build: main.c\n\tgcc -Wall -c main.c -o /tmp/main.o\n");
      writeFileSync(join(workspace, "native/main.c"), "int main(void) { int unused; return 0 }\n");
    });
    const call = async (args: object) => {
      const done = await home.guild(["tool", "call", "project", "--args", JSON.stringify(args), "--workspace", workspace, "--json"]);
      const [line = {}] = jsonLines(done.stdout);
      return { ...done, output: String(line["output"]), data: line["data"] };
    };

    it("are driven by one tool, their problems read to file, line, severity and message", async () => {
      verifies("H4");
      const tested = await call({ action: "test" });
      assert.match(tested.output, /^\$ npm test\nexit code 2\n1 errors, 0 warnings\nsrc\/a\.ts:3:7: error TS2322: Not a number\./);
      const built = await call({ action: "build", directory: "native" });
      assert.match(built.output, /main\.c:1:\d+: error: expected ‘?'?;/);
      assert.match(built.output, /main\.c:1:\d+: warning -Wunused-variable: unused variable/);
      assert.match((await call({ action: "lint" })).output, /npm has no lint here/);
    });

    it("have failures read that are said in reports alone, as far as this run has written them", async () => {
      verifies("H4");
      const report = (name: string, file: string) =>
        `<testsuite><testcase classname="sums" name="${name}" file="${file}" line="7"><failure message="expected 4">at ${file}:7</failure></testcase></testsuite>`;
      const reports = join(workspace, "jvm/target/surefire-reports");
      mkdirSync(reports, { recursive: true });
      writeFileSync(join(reports, "TEST-old.xml"), report("of yesterday", "src/old.js"));
      writeFileSync(join(workspace, "jvm/new.xml"), report("adds", "src/sums.js"));
      const scripts = { test: "cp new.xml target/surefire-reports/TEST-sums.xml; cp new.xml junit.xml; echo 1 failed; exit 1" };
      writeFileSync(join(workspace, "jvm/package.json"), JSON.stringify({ scripts }));
      const { output, data } = await call({ action: "test", directory: "jvm" });
      assert.match(output, /^\$ npm test\nexit code 1\n1 errors, 0 warnings\nsrc\/sums\.js:7: error: sums\.adds: expected 4\n/);
      assert.equal((data as { problems: unknown[] }).problems.length, 1);
    });

    it("are found, and what they pin is compared with advisories", async () => {
      verifies("H3");
      const audited = await call({ action: "audit" });
      assert.match(
        audited.output,
        /1 packages of package-lock\.json: 1 known vulnerabilities\nleaky 1\.0\.0: unknown GHSA-fixture: It leaks \(mended in 1\.0\.1\)/,
      );
      const listed = await call({ action: "list" });
      assert.match(listed.output, /^\$ npm ls --depth=0/);
      assert.deepEqual((listed.data as { packages: unknown }).packages, [{ ecosystem: "npm", name: "leaky", version: "1.0.0" }]);
      assert.match((await call({ action: "add", packages: ["--evil"] })).output, /is no package name/);
      assert.match(
        (await call({ action: "add", directory: "none", packages: ["a"] })).output,
        /there are npm in \., npm in jvm, make in native/,
      );
    });
  });

  describe("language servers", () => {
    it("say what an agent's edit has broken with that edit's observation, and answer its questions, in the sandbox", async () => {
      verifies("B6", "H1");
      const workspace = join(home.directory, "shop");
      mkdirSync(workspace);
      writeFileSync(join(workspace, "package.json"), "{}");
      writeFileSync(join(workspace, "tsconfig.json"), '{"compilerOptions": {"strict": true, "types": []}}');
      writeFileSync(join(workspace, "a.ts"), "export function add(a: number, b: number): number {\n  return a + b;\n}\n");
      const steps = [
        {
          calls: [
            { tool: "edit", args: { command: "str_replace", path: "a.ts", old_str: "return a + b;", new_str: "return String(a + b);" } },
          ],
        },
        { calls: [{ tool: "lsp", args: { operation: "references", path: "a.ts", line: 1, symbol: "add" } }] },
        { calls: [{ tool: "edit", args: { command: "str_replace", path: "a.ts", old_str: "String(a + b)", new_str: "a + b" } }] },
        { calls: [{ tool: "finish", args: { done: true, summary: "mended" } }] },
      ];
      const script = home.write("types.json", JSON.stringify({ description: "Types.", steps }));
      const run = await home.guild(["run", "Types.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"]);
      assert.equal(run.code, 0, run.stderr + run.stdout);
      const outputs = jsonLines(run.stdout)
        .filter(({ kind }) => kind === "action_finished")
        .map((event) => (event["action_finished"] as Record<string, string>)["output"] ?? "");
      assert.match(outputs[0] ?? "", /new with this edit\]\na\.ts:2:3: error 2322: Type 'string' is not assignable to type 'number'/);
      assert.match(outputs[1] ?? "", /a\.ts:1:17: export function add/);
      assert.match(outputs[2] ?? "", /1 problem of a\.ts gone with this edit, none new/);
    });

    it("are one for the sessions of a directory, and told of what commands write beside them", async () => {
      verifies("B6", "B7", "H1");
      const workspace = join(home.directory, "together");
      mkdirSync(workspace);
      writeFileSync(join(workspace, "package.json"), "{}");
      writeFileSync(join(workspace, "tsconfig.json"), '{"compilerOptions": {"strict": true, "types": []}}');
      writeFileSync(join(workspace, "a.ts"), 'import { c } from "./c";\nexport const n: number = c;\n');
      const ask = { tool: "lsp", args: { operation: "diagnostics", path: "a.ts" } };
      const write = (value: string) => ({ tool: "bash", args: { command: `echo 'export const c = ${value};' > c.ts; sleep 0.2` } });
      const run = async (name: string, steps: unknown[]): Promise<string[]> => {
        const script = home.write(`${name}.json`, JSON.stringify({ description: "Together.", steps }));
        const done = await home.guild(["run", "Together.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"]);
        assert.equal(done.code, 0, done.stderr + done.stdout);
        return jsonLines(done.stdout)
          .filter(({ kind }) => kind === "action_finished")
          .map((event) => (event["action_finished"] as Record<string, string>)["output"] ?? "");
      };
      const end = { calls: [{ tool: "finish", args: { done: true, summary: "asked" } }] };
      const first = await run("first", [{ calls: [ask] }, { calls: [write("1")] }, { calls: [ask] }, end]);
      assert.match(first[0] ?? "", /Cannot find module/);
      assert.match(first[2] ?? "", /no problems/);
      const second = await run("second", [{ calls: [ask] }, { calls: [write("String(1)")] }, { calls: [ask] }, end]);
      assert.match(second[0] ?? "", /no problems/);
      assert.match(second[2] ?? "", /Type 'string' is not assignable to type 'number'/);
      // Both sessions are still warm.
      assert.equal(serversIn(workspace).length, 1);
    });
  });
});

/** Processes of TypeScript's server that work in a directory. */
function serversIn(directory: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("\0--lsp\0") && readlinkSync(`/proc/${pid}/cwd`).endsWith(directory);
    } catch {
      return false; // ended meanwhile, or no process
    }
  });
}
