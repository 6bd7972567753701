import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { type EnvironmentSource, GuildError, type ResolveRequest } from "@guildhall/core";

import { serverKinds, withConfigured } from "./language-servers/server-kinds.ts";
import { addLayers, chooseEnvironment } from "./resolve-environment.ts";

function source(kind: "nix" | "toolchain", own: { path: string; pure: boolean; fails?: boolean }): EnvironmentSource {
  const resolve: EnvironmentSource["resolve"] = async () => {
    if (own.fails === true) throw new GuildError("not_found", "it is gone");
    const variables = { WHO: kind, [kind.toUpperCase()]: "yes" };
    const mounts = [{ source: own.path, at: own.path }];
    return { kind, source: `${kind}.file`, variables, path: [own.path], pure: own.pure, mounts, shellHook: "", differences: [] };
  };
  return { kind, claims: async () => `${kind}.file`, resolve };
}

describe("sources laid beneath the chosen one", () => {
  const request = { workspace: "/w", signal: new AbortController().signal } as ResolveRequest;
  const layered = async (fails: boolean, layers: Array<"toolchain">) => {
    const sources = [source("nix", { path: "/nix/a", pure: true }), source("toolchain", { path: "/home/node", pure: false, fails })];
    return await addLayers(await chooseEnvironment(sources, request), sources, request, layers);
  };

  it("add their programs and variables behind those of the chosen one", async () => {
    const found = await layered(false, ["toolchain"]);
    assert.deepEqual(
      [found.kind, found.source, found.path, found.pure],
      ["nix", "nix.file over toolchain.file", ["/nix/a", "/home/node"], false],
    );
    assert.deepEqual(found.variables, { WHO: "nix", TOOLCHAIN: "yes", NIX: "yes" });
    assert.equal(found.mounts.length, 2);
  });

  it("are not there unless asked for, and a difference when they cannot be had", async () => {
    assert.equal((await layered(false, [])).source, "nix.file");
    const failed = await layered(true, ["toolchain"]);
    assert.deepEqual([failed.pure, failed.differences], [true, ["toolchain is not laid beneath: it is gone"]]);
  });
});

it("language servers of the settings come first, and in the place of those of the same name", () => {
  const kinds = withConfigured(["zig .zig .zon = zls --stdio", "python .py = other"]);
  assert.deepEqual(kinds[0]?.commands, [["zls", "--stdio"]]);
  assert.deepEqual(kinds[0]?.extensions, { zig: "zig", zon: "zig" });
  assert.equal(kinds.length, serverKinds.length + 1);
  assert.deepEqual(kinds.find(({ name }) => name === "python")?.commands, [["other"]]);
});
