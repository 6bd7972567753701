import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("a project's package managers and build tools", () => {
  let home: Home;
  let workspace = "";

  before(() => {
    home = new Home();
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
  after(() => home.remove());

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
