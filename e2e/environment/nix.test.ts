import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { writeFixtureFlake } from "../../packages/environment/src/testing/fixture-flake.ts";
import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("a project with a flake", () => {
  let home: Home;
  let workspace = "";

  before(() => {
    home = new Home();
    chmodSync(home.directory, 0o755);
    const store = join(home.directory, "nix-store");
    home.write("guild/config/settings.toml", `[environment]\nnix_store = ${JSON.stringify(store)}\nnix_substituters = []\n`);
    workspace = join(home.directory, "project");
    mkdirSync(workspace);
    writeFixtureFlake(workspace, { version: "1.0.0" });
  });
  after(() => home.remove());

  const show = async () => jsonLines((await home.guild(["env", "show", "--workspace", workspace, "--json"])).stdout)[0] ?? {};

  it("is not evaluated before it is trusted, and the difference is said", async () => {
    verifies("B1");
    const before_ = await show();
    assert.equal(before_["kind"], "host");
    assert.match(String(before_["differences"]), /flake\.nix is not used: flake\.nix is not trusted/);
    assert.equal((await home.guild(["trust", "add", workspace])).code, 0);
    const shown = await show();
    assert.deepEqual([shown["kind"], shown["source"], shown["pure"]], ["nix", "flake.nix", true]);
    assert.equal((await show())["hash"], shown["hash"]);
  });

  it("goes on without it, in one line, when it is broken, and where the sandbox cannot show it", async () => {
    writeFileSync(join(workspace, "flake.nix"), "{ outputs = ");
    assert.equal((await home.guild(["trust", "add", workspace])).code, 0);
    const broken = await show();
    assert.equal(broken["kind"], "nix");
    assert.match(String(broken["differences"]), /flake\.nix is not used: Nix says: .*syntax error.*generation 2 stays/);
    const host = await home.guild(["env", "show", "--workspace", workspace, "--sandbox", "host", "--json"]);
    assert.match(host.stdout, /this sandbox cannot show the Nix store/);
  });
});
