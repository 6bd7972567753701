import assert from "node:assert/strict";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it, type TestContext } from "node:test";

import { GuildError } from "@guildhall/core";

import { hostFiles } from "../project/host-files.ts";
import { osvDirectory } from "./advisories.ts";
import { lockedPackages } from "./locked-packages.ts";
import { isPackageName, packageCommand } from "./package-commands.ts";

function directory(test: TestContext, files: Readonly<Record<string, string>>): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), "guild-packages-")));
  test.after(() => rmSync(path, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

it("every manager has its own words for what is asked of it", () => {
  const line = (manager: string, operation: Parameters<typeof packageCommand>[1], packages: string[] = [], development = false) =>
    packageCommand(manager, operation, packages, development)?.join(" ");
  assert.equal(line("npm", "add", ["left-pad@1"], true), "npm install --save-dev left-pad@1");
  assert.equal(line("pnpm", "install"), "pnpm install --frozen-lockfile");
  assert.equal(line("uv", "update", ["flask"]), "uv lock --upgrade-package flask");
  assert.equal(line("go", "remove", ["example.com/x"]), "go get example.com/x@none");
  assert.equal(line("cargo", "add", ["serde"]), "cargo add serde");
  assert.equal(line("npm", "add"), undefined);
  assert.equal(line("make", "add", ["x"]), undefined);
  for (const name of ["left-pad", "@scope/name@^1.2", "flask[async]==3.0", "github.com/a/b@latest", "org:artifact:1.0"])
    assert.ok(isPackageName(name), name);
  for (const name of ["--registry=http://x", "a b", "$(id)", "", "a;b"]) assert.ok(!isPackageName(name), name);
});

it("lock files tell what is pinned", async (test) => {
  const path = directory(test, {
    "package-lock.json": JSON.stringify({
      packages: { "": {}, "node_modules/a": { version: "1.0.0" }, "node_modules/a/node_modules/@s/b": { version: "2.0.0" } },
    }),
    "pnpm-lock.yaml": "packages:\n  '@s/c@3.0.0(x@1)':\n    resolution: {}\n",
    "yarn.lock": '"d@^4":\n  version "4.1.0"\n',
    "Cargo.lock": '[[package]]\nname = "serde"\nversion = "1.0.1"\n',
    "uv.lock": '[[package]]\nname = "flask"\nversion = "3.0.0"\n',
    "requirements.txt": "black==24.1\nother>=1\n",
    "go.sum": "example.com/x v1.2.3 h1:a=\nexample.com/x v1.2.3/go.mod h1:b=\n",
    "Gemfile.lock": "GEM\n  specs:\n    rake (13.0.6)\n",
    "composer.lock": '{"packages": [{"name": "a/b", "version": "v1.2"}]}',
    "mix.lock": '%{\n  "jason": {:hex, :jason, "1.4.1", "x"},\n}\n',
    "poetry.lock": "[[package\n",
    "bun.lock": '{"lockfileVersion": 1, "packages": {"e": ["e@5.0.0", "", {}, "sha512-x"],}}',
    "deno.lock": '{"npm": {"@s/f@6.0.0_g@1.0.0": {}}}',
    "gradle.lockfile": "# generated\norg.g:h:7.1=compileClasspath\nempty=\n",
    "packages.lock.json": '{"dependencies": {"net8.0": {"I.J": {"type": "Direct", "resolved": "8.0.0"}}}}',
  });
  const { packages } = await lockedPackages(hostFiles(path), "");
  assert.deepEqual(packages.map(({ ecosystem, name, version }) => `${ecosystem} ${name} ${version}`).toSorted(), [
    "Go example.com/x 1.2.3",
    "Hex jason 1.4.1",
    "Maven org.g:h 7.1",
    "NuGet I.J 8.0.0",
    "Packagist a/b 1.2",
    "PyPI black 24.1",
    "PyPI flask 3.0.0",
    "RubyGems rake 13.0.6",
    "crates.io serde 1.0.1",
    "npm @s/b 2.0.0",
    "npm @s/c 3.0.0",
    "npm @s/f 6.0.0",
    "npm a 1.0.0",
    "npm d 4.1.0",
    "npm e 5.0.0",
  ]);
});

it("pinned versions are compared with advisories; none to compare with is an error, not a clean bill", async (test) => {
  const record = (id: string, events: object[], more: object = {}) =>
    JSON.stringify({
      id,
      summary: "It leaks",
      affected: [{ package: { ecosystem: "npm", name: "a" }, ranges: [{ type: "SEMVER", events }] }],
      database_specific: { severity: "HIGH" },
      ...more,
    });
  const path = directory(test, {
    "one.json": record("GHSA-1", [{ introduced: "0" }, { fixed: "1.2.0" }]),
    "two.json": record("GHSA-2", [{ introduced: "2.0.0" }, { last_affected: "2.3.0" }]),
    "gone.json": record("GHSA-3", [{ introduced: "0" }], { withdrawn: "2024-01-01T00:00:00Z" }),
  });
  const find = async (version: string) =>
    (await osvDirectory(path).find([{ ecosystem: "npm", name: "a", version }])).map(({ id, severity, fixed }) => [id, severity, fixed]);
  assert.deepEqual(await find("1.1.9"), [["GHSA-1", "high", "1.2.0"]]);
  assert.deepEqual(await find("1.2.0"), []);
  assert.deepEqual(await find("2.3.0"), [["GHSA-2", "high", ""]]);
  assert.deepEqual(await find("2.3.1"), []);
  await assert.rejects(osvDirectory(join(path, "none")).find([]), (error) => GuildError.is(error, "unavailable"));
});
