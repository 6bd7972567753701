import assert from "node:assert/strict";
import { it } from "node:test";

import { describeOutdated, outdatedPackages, yarnAnswer, yarnQuestion } from "./outdated-packages.ts";

/** As the managers printed it for one package at a registry on loopback; those of Maven, uv, pdm, mix and dotnet by their manuals, for want of these here. */
const ANSWERS: ReadonlyArray<readonly [string, number, string, string]> = [
  ["npm", 1, '{"left": {"current": "1.0.0", "wanted": "1.0.0", "latest": "1.1.0", "location": "/w/node_modules/left"}}', ""],
  ["pnpm", 1, '{"left": {"current": "1.0.0", "latest": "1.1.0", "wanted": "1.0.0", "isDeprecated": false}}', ""],
  [
    "yarn classic",
    1,
    '{"type":"info","data":"Color legend"}\n{"type":"table","data":{"head":["Package","Current","Wanted","Latest","Package Type","URL"],"body":[["left","1.0.0","1.0.0","1.1.0","dependencies",""]]}}\n',
    '{"type":"warning","data":"package.json: No license field"}\n',
  ],
  [
    "bun",
    0,
    "bun outdated v1.4.5\n|----|\n| Package    | Current | Update | Latest |\n|----|---|---|---|\n| left (dev) | 1.0.0   | 1.0.0  | 1.1.0  |\n|---|\n",
    "",
  ],
  ["deno", 0, "┌───┐\n│ Package │ Current │ Update │ Latest │\n├───┤\n│ left │ 1.0.0 │ 1.0.0 │ 1.1.0 │\n└──┘\n\nRun deno update\n", ""],
  ["pip", 0, '[{"name": "left", "version": "1.0.0", "latest_version": "1.1.0", "latest_filetype": "wheel"}]', "[notice] a new pip 24\n"],
  ["pdm", 0, '[{"package": "left", "installed_version": "1.0.0", "pinned_version": "1.0.0", "latest_version": "1.1.0"}]', ""],
  ["uv", 0, "Resolved 3 packages\nw v0.1.0\n├── left v1.0.0 (latest: v1.1.0)\n└── right v2.0.0\n", ""],
  ["poetry", 0, "left 1.0.0 1.1.0 It leans\n", ""],
  ["cargo", 0, "", "    Updating `local` index\n     Locking 0 packages\n   Unchanged left v1.0.0 (available: v1.1.0)\nnote: not done\n"],
  [
    "go",
    0,
    '{\n\t"Path": "w",\n\t"Main": true\n}\n{\n\t"Path": "left",\n\t"Version": "1.0.0",\n\t"Update": {\n\t\t"Version": "1.1.0"\n\t}\n}\n',
    "",
  ],
  ["bundler", 1, "\nleft (newest 1.1.0, installed 1.0.0, requested = 1.0.0)\n", ""],
  [
    "composer",
    0,
    '{"installed": [{"name": "left", "version": "1.0.0", "latest": "1.1.0", "latest-status": "semver-safe-update"}]}',
    "Warning\n",
  ],
  ["dotnet", 0, "   [net8.0]: \n   Top-level Package   Requested   Resolved   Latest\n   > left   1.0.0   1.0.0   1.1.0\n", ""],
  ["mix", 1, "Dependency  Only  Current  Latest  Status\nleft        dev   1.0.0    1.1.0   Update possible\n", ""],
];

it("what every manager says of newer versions becomes one form", () => {
  for (const [manager, code, stdout, stderr] of ANSWERS) {
    const found = outdatedPackages(manager, { stdout, text: stderr + stdout }, code);
    assert.deepEqual(
      found?.map(({ name, current, latest }) => ({ name, current, latest })),
      [{ name: "left", current: "1.0.0", latest: "1.1.0" }],
      manager,
    );
  }
  const maven =
    "[INFO] The following dependencies have newer versions:\n[INFO]   junit:junit ...... 4.12 -> 4.13.2\n[INFO]   org.example.of.a.long.name:artifact ...\n[INFO]                                    1.0 -> 2.0\n";
  assert.deepEqual(outdatedPackages("maven", { stdout: maven, text: maven }, 0), [
    { name: "junit:junit", current: "4.12", latest: "4.13.2" },
    { name: "org.example.of.a.long.name:artifact", current: "1.0", latest: "2.0" },
  ]);
});

it("what is not understood, or was an error, is no answer, and silence of one that answers in data means nothing", () => {
  const ask = (manager: string, stdout: string, code: number, text = stdout) => outdatedPackages(manager, { stdout, text }, code);
  assert.deepEqual(ask("npm", "{}", 0), []);
  assert.deepEqual(ask("yarn classic", "", 0), []);
  assert.deepEqual(ask("pip", "[]", 0), []);
  assert.deepEqual(ask("bundler", "", 0), []);
  assert.equal(ask("npm", '{"error": {"code": "ECONNREFUSED", "summary": "no 127.0.0.1:9"}}', 1), undefined);
  assert.equal(ask("pip", "", 2, "ERROR: no index"), undefined);
  assert.equal(ask("go", '{"Path": "left", "Version": "1.0.0", "Update": {"Version": "1.1.0"}}', 1), undefined);
  assert.equal(ask("cargo", "", 0, "    Updating index\n"), undefined);
  assert.equal(ask("composer", "Deprecated: …", 0), undefined);
  assert.equal(ask("make", "1.0.0 1.1.0", 0), undefined);
  assert.equal(describeOutdated([]), "nothing is outdated");
  assert.equal(
    describeOutdated([
      { name: "a", current: "1.0.0", wanted: "1.1.0", latest: "2.0.0" },
      { name: "b", current: "", latest: "1.0.0" },
    ]),
    "a 1.0.0 → 2.0.0 (within its range 1.1.0)\nb not installed → 1.0.0",
  );
});

it("a yarn that cannot tell is asked what the registry has, beside its lock file", async () => {
  const texts: Record<string, string> = {
    "package.json": '{"dependencies": {"left": "^1.0.0", "@s/own": "workspace:*"}, "devDependencies": {"right": "~2"}}',
    "yarn.lock": '"left@npm:^1.0.0, left@npm:^1.0.1":\n  version: 1.0.5\n\n"right@npm:~2":\n  version: 2.0.0\n',
  };
  const files = { read: async (path: string) => texts[path], list: async () => [] };
  assert.deepEqual(await yarnQuestion(files, ""), ["yarn", "npm", "info", "left", "right", "--fields", "name,dist-tags", "--json"]);
  const answer = '{"name":"left","dist-tags":{"latest":"1.1.0"}}\n{"name":"right","dist-tags":{"latest":"2.0.0"}}\n';
  assert.deepEqual(await yarnAnswer(files, "", answer), [{ name: "left", current: "1.0.5", latest: "1.1.0" }]);
  assert.equal(await yarnAnswer(files, "", "Usage Error"), undefined);
  assert.equal(await yarnQuestion(files, "elsewhere"), undefined);
});
