import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { isManifest, newInstallScripts, withInstallScripts } from "./install-scripts.ts";

const text = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

describe("what a package manager runs unasked", () => {
  it("is told of when it is new or altered, and nothing else is", () => {
    const before = text({ name: "a", scripts: { test: "x", prepare: "husky" }, dependencies: { b: "1" } });
    assert.deepEqual(
      newInstallScripts(before, text({ scripts: { test: "y", prepare: "husky", build: "z" }, dependencies: { c: "2" } })),
      [],
    );
    assert.deepEqual(newInstallScripts(before, text({ scripts: {} })), []);
    for (const name of [
      "preinstall",
      "install",
      "postinstall",
      "prepublish",
      "preprepare",
      "postprepare",
      "dependencies",
      "pnpm:devPreinstall",
    ])
      assert.deepEqual(newInstallScripts(before, text({ scripts: { [name]: "evil" } })), [`scripts.${name}`]);
    assert.deepEqual(newInstallScripts(before, text({ scripts: { prepare: "evil" } })), ["scripts.prepare"]);
    for (const name of ["husky", "simple-git-hooks", "lint-staged", "packageManager"])
      assert.deepEqual(newInstallScripts(before, text({ [name]: "evil" })), [name]);
    assert.deepEqual(newInstallScripts("", `\uFEFF${text({ scripts: { install: "evil" } })}`), ["scripts.install"]);
    assert.equal(newInstallScripts(before, "{ not json"), undefined);
    assert.deepEqual(newInstallScripts("[]", text({ scripts: "evil" })), []);
  });

  it("is taken back or put in, the rest as it is", () => {
    const before = text({ name: "a", scripts: { prepare: "husky" } });
    const after = text({ name: "b", scripts: { postinstall: "evil", test: "x", prepare: "evil" }, packageManager: "yarn@https://evil" });
    const safe = withInstallScripts(after, before);
    assert.equal(safe, text({ name: "b", scripts: { test: "x", prepare: "husky" } }));
    assert.deepEqual(newInstallScripts(before, safe), []);
    assert.deepEqual(JSON.parse(withInstallScripts(safe, after)), JSON.parse(after));
    assert.equal(withInstallScripts("{ not json", before), "{ not json");
    assert.equal(
      withInstallScripts('{\n\t"a": 1\n}', text({ scripts: { install: "x" } })),
      '{\n\t"a": 1,\n\t"scripts": {\n\t\t"install": "x"\n\t}\n}',
    );
  });

  it("is looked for in manifests alone", () => {
    assert.deepEqual(["package.json", "a/package.json", "package.jsonc", "xpackage.json"].map(isManifest), [true, true, false, false]);
  });
});
