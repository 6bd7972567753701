import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";

import { GuildError } from "@guildhall/core";

import { trackedPaths } from "./git-index.ts";

describe("trackedPaths", () => {
  for (const version of [2, 3, 4]) {
    it(`reads an index of version ${version} that git wrote`, () => {
      const directory = mkdtempSync(join(tmpdir(), "guild-index-"));
      const git = (...args: string[]) =>
        execFileSync("git", args, { cwd: directory, env: { PATH: "/usr/bin:/bin", HOME: directory }, encoding: "utf8" });
      try {
        git("init", "-q");
        const paths = ["a", "größe", ...Array.from({ length: 300 }, (_, n) => `dir/${"x".repeat(n)}`.slice(0, 200) + n)].toSorted();
        for (const path of [...paths, "intended"]) {
          mkdirSync(dirname(join(directory, path)), { recursive: true });
          writeFileSync(join(directory, path), path);
        }
        git("add", ...paths);
        // Only an intended addition makes git write version 3.
        if (version === 3) git("add", "-N", "intended");
        else git("update-index", "--index-version", String(version));
        const index = readFileSync(join(directory, ".git", "index"));
        assert.equal(index.readUInt32BE(4), version);
        const expected = git("ls-files", "-z").split("\0").filter(Boolean);
        assert.deepEqual([...trackedPaths(index)], expected);
        assert.throws(
          () => [...trackedPaths(index.subarray(0, 500))],
          (error) => GuildError.is(error, "corrupt"),
        );
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
  }

  it("refuses what is no index", () => {
    assert.throws(
      () => [...trackedPaths(Buffer.from("hello"))],
      (error) => GuildError.is(error, "unsupported"),
    );
  });
});
