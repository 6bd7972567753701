import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import type { ProjectFacts, ResolvedEnvironment } from "@guildhall/core";
import { removeTree } from "@guildhall/core/testing";

import { writeFlake } from "../../init/write-flake.ts";
import { hostFiles } from "../../project/host-files.ts";
import { writeStubInputs } from "../../testing/stub-nixpkgs.ts";
import type { NixSetup } from "./nix-command.ts";
import { nixSource } from "./nix-source.ts";

/**
 * What needs nixpkgs and devenv, over stubs of both: what Nix does with inputs, locks and shells is real, the packages are not.
 */
describe("flakes over inputs that a stub stands for", () => {
  const place = realpathSync(mkdtempSync(join(tmpdir(), "guild-inputs-")));
  chmodSync(place, 0o755);
  after(() => removeTree(place));
  const { nixpkgs, devenv } = writeStubInputs(join(place, "inputs"), ["bashInteractive", "coreutils", "git", "nodejs_22", "hello"]);
  const setup: NixSetup = {
    command: ["nix"],
    directory: join(place, "nix"),
    storeRoot: join(place, "nix/root"),
    user: process.getuid?.() === 0 ? { uid: 60790, gid: 60790 } : undefined,
    substituters: [],
    trustedKeys: [],
    inputs: [nixpkgs, devenv],
    timeoutMs: 300_000,
  };
  const facts: ProjectFacts = { ecosystems: [], services: [], declared: [], problems: [] };
  const resolve = async (files: Record<string, string>): Promise<ResolvedEnvironment> => {
    const workspace = realpathSync(mkdtempSync(join(place, "project-")));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(workspace, name), text);
    const source = nixSource({ setup, cacheFile: undefined, sandbox: { mounts: true, pure: true } });
    const request = { workspace, facts, files: hostFiles(workspace), trusted: true, signal: new AbortController().signal };
    return await source.resolve({ ...request, progress: () => undefined });
  };

  it("the flake that is drafted for a project evaluates, and its shell has what was asked for", async () => {
    const declared = [{ name: "node", version: "", wanted: "22" }];
    const found = await resolve({ "flake.nix": writeFlake({ ...facts, declared }) });
    assert.deepEqual(
      found.path.map((directory) => directory.replace(/^\/nix\/store\/\w+-/, "")),
      ["bashInteractive/bin", "coreutils/bin", "git/bin", "nodejs_22/bin", "bash-static/bin"],
    );
  });

  it("devenv.nix without a flake is evaluated by devenv's own mkShell", async () => {
    const found = await resolve({
      "devenv.nix": '{ pkgs, ... }: { packages = [ pkgs.hello ]; env.GREETING = "hi"; enterShell = "export ENTERED=yes"; }\n',
      "devenv.yaml": "inputs:\n  nixpkgs:\n    url: github:cachix/devenv-nixpkgs/rolling\n",
    });
    assert.deepEqual([found.source, found.variables["GREETING"]], ["devenv.nix", "hi"]);
    assert.match(found.shellHook, /export ENTERED=yes/);
    assert.match(found.path[0] ?? "", /-hello\/bin$/);
  });
});
