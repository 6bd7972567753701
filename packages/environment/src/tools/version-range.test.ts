import assert from "node:assert/strict";
import { it } from "node:test";

import { versionIn } from "./probe-tools.ts";
import { satisfies } from "./version-range.ts";

it("a version is judged by what version files and manifests write", () => {
  const cases: Array<[string, string, boolean | undefined]> = [
    ["22.4.1", "22", true],
    ["20.1.0", "22", false],
    ["20.11.0", "20.11", true],
    ["20.11.0", "20.x", true],
    ["3.12.1", ">=3.11,<4", true],
    ["3.10.0", ">=3.11,<4", false],
    ["4.0.0", ">= 3.11, < 4", false],
    ["18.20.3", "^18.2", true],
    ["19.0.0", "^18.2", false],
    ["0.3.1", "^0.2.0", false],
    ["1.4.9", "~1.4.2", true],
    ["1.5.0", "~1.4.2", false],
    ["8.3.0", "^8.2 || ^7.4", true],
    ["1.22.5", ">1.22", false],
    ["3.12.9", "<=3.12", true],
    ["3.12.9", "~=3.11", true],
    ["22.0.0", "lts/*", undefined],
    ["1.80.0", "stable", undefined],
    ["22.0.0", "*", true],
  ];
  for (const [version, wanted, verdict] of cases) assert.equal(satisfies(version, wanted), verdict, `${version} for ${wanted}`);
});

it("a version is found in what programs say of themselves", () => {
  for (const [text, version] of [
    ["git version 2.39.5", "2.39.5"],
    ["v20.11.0", "20.11.0"],
    ["go version go1.22.5 linux/amd64", "1.22.5"],
    ['openjdk version "17.0.9" 2023-10-17', "17.0.9"],
    ["GNU Make 4.3 Built for x86_64", "4.3"],
    ["cargo 1.80.0-nightly (abc 2024)", "1.80.0-nightly"],
    ["no idea", ""],
  ] as const) {
    assert.equal(versionIn(text), version, text);
  }
});
