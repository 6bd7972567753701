import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("a project's environment", () => {
  let home: Home;
  let workspace = "";

  const write = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(home.directory, path)), { recursive: true });
    writeFileSync(join(home.directory, path), text, { mode });
  };

  before(() => {
    home = new Home();
    chmodSync(home.directory, 0o755);
    workspace = join(home.directory, "shop");
    write("shop/package.json", JSON.stringify({ scripts: { test: "node --test", lint: "eslint ." } }));
    write("shop/package-lock.json", "{}");
    write("shop/.nvmrc", "v23\n");
    write(".nvm/versions/node/v23.1.0/bin/node", "#!/bin/sh\necho v23.1.0\n", 0o755);
  });
  after(() => home.remove());

  it("is shown with its hash, source, tools, scripts and how the project is worked on", async () => {
    verifies("B6");
    const shown = await home.guild(["env", "show", "--workspace", workspace, "--json"]);
    assert.equal(shown.code, 0, shown.stderr);
    const [environment = {}] = jsonLines(shown.stdout);
    assert.match(String(environment["hash"]), /^sha256:[0-9a-f]{64}$/);
    assert.deepEqual([environment["source"], environment["generation"]], [".nvmrc", 1]);
    const tools = environment["tools"] as Array<Record<string, string>>;
    assert.deepEqual(
      tools.filter(({ name }) => name === "node").map(({ version, wanted }) => [version, wanted]),
      [["23.1.0", "23"]],
    );
    assert.deepEqual(environment["scripts"], [{ directory: "", manager: "npm", scripts: { lint: "eslint .", test: "node --test" } }]);
    assert.ok(Array.isArray(environment["language_servers"]));
    const again = await home.guild(["env", "show", "--workspace", workspace]);
    assert.match(again.stdout, new RegExp(String(environment["hash"])));
    assert.match(again.stdout, /test +npm test/);
  });

  it("differs, and says how, where what is asked for is not there", async () => {
    write("other/.tool-versions", "node 99.0.0\nzig 0.12\n");
    const { code, stdout } = await home.guild(["env", "show", "--workspace", join(home.directory, "other")]);
    assert.equal(code, 0);
    assert.match(stdout, /differs \.tool-versions asks for node 99\.0\.0: here it is/);
    assert.match(stdout, /differs \.tool-versions asks for zig 0\.12: there is no zig here/);
  });
});
