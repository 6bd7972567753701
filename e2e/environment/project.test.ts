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

  it("are found, and what they pin is compared with advisories", async () => {
    verifies("H3");
    const audited = await call({ action: "audit" });
    assert.match(
      audited.output,
      /1 packages of package-lock\.json: 1 known vulnerabilities\nleaky 1\.0\.0: unknown GHSA-fixture: It leaks \(mended in 1\.0\.1\)/,
    );
    assert.match((await call({ action: "list" })).output, /^\$ npm ls --depth=0/);
    assert.match((await call({ action: "add", packages: ["--evil"] })).output, /is no package name/);
    assert.match((await call({ action: "add", directory: "none", packages: ["a"] })).output, /there are npm in \., make in native/);
  });
});
