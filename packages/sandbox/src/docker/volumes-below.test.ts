import assert from "node:assert/strict";
import { lstatSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";

import { GuildError } from "@guildhall/core";

import { makeMountPoints, placedVolumes } from "./volumes-below.ts";

it("a volume may stand below the workspace, but not over what is guarded in it, nor over the sandbox's own places", () => {
  const placed = (at: string) => placedVolumes([{ name: "x", at }], "/w", ["/w/.git/hooks", "/w/sub/.npmrc"]);
  assert.deepEqual(placed("node_modules"), { all: [{ name: "x", at: "/w/node_modules" }], below: [{ name: "x", at: "/w/node_modules" }] });
  assert.deepEqual(placed("/w/a/b").below, [{ name: "x", at: "/w/a/b" }]);
  assert.deepEqual(placed("/data").below, []);
  for (const at of ["/w", "/", ".git", ".git/x", "sub", "sub/.npmrc", "../etc", "/w/../etc", "/etc/x", "/tmp", "/run/guildhall/x"])
    assert.throws(
      () => placed(at),
      (error) => GuildError.is(error, "invalid_argument"),
      at,
    );
});

it("mount points are made as directories of the tree's owner, and never through a link", async (test) => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "guild-points-")));
  test.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, "there"));
  symlinkSync("/tmp", join(root, "link"));
  const make = (at: string) => makeMountPoints([{ name: "x", at }], { workspace: "/w", root, owner: undefined });
  await make("/w/there/deep/deeper");
  await make("/w/there/deep/deeper");
  assert.ok(lstatSync(join(root, "there/deep/deeper")).isDirectory());
  await assert.rejects(make("/w/link/x"), (error) => GuildError.is(error, "failed_precondition"));
});
