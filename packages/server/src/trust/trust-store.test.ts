import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { GuildError } from "@guildhall/core";

import { TrustStore } from "./trust-store.ts";

function world(test: TestContext): { project: string; store: () => TrustStore; write(name: string, text: string): void; file: string } {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "guild-trust-")));
  test.after(() => rmSync(folder, { recursive: true }));
  const project = join(folder, "project");
  mkdirSync(join(project, ".guildhall/hooks"), { recursive: true });
  const file = join(folder, "trust.json");
  return {
    project,
    file,
    store: () => new TrustStore({ file, now: () => new Date(0) }),
    write: (name, text) => writeFileSync(join(project, name), text),
  };
}

const fine = (): void => undefined;

describe("trust in a project's configuration", () => {
  it("is nothing to ask about where there is none; who vouches for that is asked when something comes", (test) => {
    const { project, store, write } = world(test);
    assert.equal(store().show(project).state, "nothing");
    assert.equal(store().add(project, "", fine).state, "trusted");
    write("flake.nix", "{ }");
    assert.equal(store().show(project).state, "changed");
    assert.equal(store().revoke(project).state, "untrusted");
  });

  it("holds for the exact content, and outlives the process", (test) => {
    const { project, store, write, file } = world(test);
    write(".guildhall/policy.toml", "[network]\nenabled = false\n");
    const shown = store().show(project);
    assert.deepEqual(
      [shown.state, shown.files.map(({ path, state }) => [path, state])],
      ["untrusted", [[".guildhall/policy.toml", "new"]]],
    );
    assert.equal(store().policyOf(project).policy, undefined);
    assert.equal(store().add(project, shown.digest, fine).state, "trusted");
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(store().policyOf(project), { state: "trusted", policy: "[network]\nenabled = false\n" });
  });

  it("ends with any change: content, mode, a new file, a file gone, a link, a flake beside", (test) => {
    const { project, store, write } = world(test);
    const changes: Array<[string, () => void, () => void]> = [
      ["content", () => write(".guildhall/hooks/a", "2"), () => write(".guildhall/hooks/a", "1")],
      ["mode", () => chmodSync(join(project, ".guildhall/hooks/a"), 0o755), () => chmodSync(join(project, ".guildhall/hooks/a"), 0o644)],
      ["new file", () => write(".guildhall/mcp.json", "{}"), () => rmSync(join(project, ".guildhall/mcp.json"))],
      ["gone", () => rmSync(join(project, ".guildhall/hooks/a")), () => write(".guildhall/hooks/a", "1")],
      ["link", () => symlinkSync("/etc/passwd", join(project, ".guildhall/tools")), () => rmSync(join(project, ".guildhall/tools"))],
      ["flake", () => write("flake.nix", "{}"), () => rmSync(join(project, "flake.nix"))],
    ];
    write(".guildhall/hooks/a", "1");
    store().add(project, "", fine);
    for (const [what, change, undo] of changes) {
      change();
      assert.equal(store().show(project).state, "changed", what);
      undo();
      assert.equal(store().show(project).state, "trusted", what);
    }
  });

  it("asks again when Nix code changes that a flake imports, directly or not, named or found", (test) => {
    const { project, store, write } = world(test);
    mkdirSync(join(project, "nix/modules/deep"), { recursive: true });
    mkdirSync(join(project, "node_modules"));
    write("flake.nix", '{ outputs = _: import ./nix { shell = ./. + "/nix/shell.nix"; src = ./.; list = import ./version; }; }');
    write("nix/default.nix", "builtins.map import (builtins.readDir ./modules)");
    write("nix/shell.nix", "import ./inner.nix");
    for (const name of ["nix/inner.nix", "nix/modules/one.nix", "nix/modules/deep/two.nix", "version", "other.nix", "node_modules/x.nix"])
      write(name, "1");
    store().add(project, "", fine);
    assert.deepEqual(
      store()
        .show(project)
        .files.map(({ path }) => path),
      ["flake.nix", "nix/default.nix", "nix/inner.nix", "nix/modules/deep/two.nix", "nix/modules/one.nix", "nix/shell.nix", "version"],
    );
    for (const name of ["nix/inner.nix", "nix/modules/one.nix", "nix/modules/deep/two.nix", "version"]) {
      write(name, "2");
      assert.equal(store().show(project).state, "changed", name);
      write(name, "1");
      assert.equal(store().show(project).state, "trusted", name);
    }
    write("nix/modules/new.nix", "1");
    assert.equal(store().show(project).state, "changed", "a file that the code would find");
    rmSync(join(project, "nix/modules/new.nix"));
    write("other.nix", "2");
    assert.equal(store().show(project).state, "trusted", "nobody names it");
  });

  it("cannot be given to more Nix code than can be looked through, which keeps nobody from working", (test) => {
    const { project, store, write } = world(test);
    mkdirSync(join(project, "pkgs"));
    write("default.nix", "import ./pkgs");
    for (let number = 0; number < 2_001; number += 1) write(`pkgs/${number}.nix`, "1");
    assert.equal(store().policyOf(project).state, "untrusted");
    assert.throws(
      () => store().add(project, "", fine),
      (error) => GuildError.is(error, "failed_precondition") && /more than 2000 Nix files/.test(error.message),
    );
  });

  it("trusts nothing but what was shown", (test) => {
    const { project, store, write } = world(test);
    write(".guildhall/policy.toml", "");
    const { digest } = store().show(project);
    write(".guildhall/policy.toml", "# other\n");
    assert.throws(() => store().add(project, digest, fine), /changed since it was shown/);
    assert.equal(store().show(project).state, "untrusted");
  });

  it("goes on narrowing by what was trusted until a person decides anew", (test) => {
    const { project, store, write } = world(test);
    write(".guildhall/policy.toml", "[network]\nenabled = false\n");
    store().add(project, "", fine);
    write(".guildhall/policy.toml", "");
    assert.deepEqual(store().policyOf(project), { state: "changed", policy: "[network]\nenabled = false\n" });
    assert.equal(store().revoke(project).state, "untrusted");
    assert.equal(store().policyOf(project).policy, undefined);
  });

  it("trusts no policy that cannot be read", (test) => {
    const { project, store, write } = world(test);
    write(".guildhall/policy.toml", "x");
    const refuse = (): never => {
      throw new GuildError("invalid_argument", "line 1");
    };
    assert.throws(() => store().add(project, "", refuse), /line 1/);
    assert.equal(store().show(project).state, "untrusted");
  });
});
