import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";

import type { EnvironmentSource, ProjectFacts } from "@guildhall/core";
import { environmentSourceContract } from "@guildhall/core/testing";

import { detectProject } from "../project/detect-project.ts";
import { hostFiles } from "../project/host-files.ts";
import { chooseEnvironment, completeEnvironment } from "../resolve-environment.ts";
import { fixtureProject } from "../testing/fixture-projects.ts";
import { hostSource } from "./host-source.ts";
import { toolchainSource } from "./toolchain-source.ts";

const made: Array<() => void> = [];
after(() => {
  for (const remove of made) remove();
});

async function project(name: string) {
  const { directory, remove } = fixtureProject(name);
  made.push(remove);
  const files = hostFiles(directory);
  return { workspace: directory, files, facts: await detectProject(files), trusted: true };
}

/** A home in which version managers have installed something. */
function home(test: TestContext): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), "guild-home-")));
  test.after(() => rmSync(directory, { recursive: true }));
  for (const place of [
    ".nvm/versions/node/v20.9.0/bin",
    ".nvm/versions/node/v22.3.0/bin",
    ".nvm/versions/node/v22.11.0/bin",
    ".rustup/toolchains/1.80.0-x86_64-unknown-linux-gnu/bin",
    ".local/share/mise/installs/python/3.12.4/bin",
    ".asdf/installs/golang/1.22.5",
  ])
    mkdirSync(join(directory, place), { recursive: true });
  symlinkSync("3.12.4", join(directory, ".local/share/mise/installs/python/3.12"));
  return directory;
}

environmentSourceContract("the host", async () => ({ source: hostSource, other: await project("npm") }));
environmentSourceContract("version files", async () => ({
  source: toolchainSource({ home: "/nonexistent" }),
  claimed: await project("npm"),
  other: await project("make"),
}));

const nothing: ProjectFacts = { ecosystems: [], services: [], declared: [], problems: [] };
const request = async (name: string) => ({ ...(await project(name)), signal: new AbortController().signal, progress: () => undefined });

describe("version files", () => {
  it("bring the newest installed version that does, by whatever manager, and show its directory to the sandbox", async (test) => {
    const directory = home(test);
    const resolve = async (name: string) => (await toolchainSource({ home: directory }).resolve(await request(name))).path;
    assert.deepEqual(await resolve("npm"), [join(directory, ".nvm/versions/node/v22.11.0/bin")]);
    assert.deepEqual(await resolve("cargo"), [join(directory, ".rustup/toolchains/1.80.0-x86_64-unknown-linux-gnu/bin")]);
    assert.deepEqual(await resolve("pip"), [join(directory, ".local/share/mise/installs/python/3.12.4/bin")]);
    // Its installation was never finished.
    assert.deepEqual(await resolve("go"), []);
  });
});

describe("the choice of an environment", () => {
  const broken: EnvironmentSource = {
    kind: "nix",
    claims: async () => "flake.nix",
    resolve: async () => {
      throw new TypeError("it broke");
    },
  };

  it("takes the first source that is asked for and works, and says what was passed over", async () => {
    const chosen = await chooseEnvironment([broken, toolchainSource({ home: "/none" }), hostSource], await request("npm"));
    assert.equal(chosen.kind, "toolchain");
    assert.deepEqual(chosen.differences, ["flake.nix is not used: it broke"]);
    const plain = await chooseEnvironment([toolchainSource({ home: "/none" }), hostSource], { ...(await request("make")), facts: nothing });
    assert.deepEqual([plain.kind, plain.reason], ["host", "the project declares none"]);
  });

  it("throws when the source that is named fails, and when it is cancelled", async () => {
    await assert.rejects(chooseEnvironment([broken, hostSource], await request("npm"), "nix"), /it broke/);
    const signal = AbortSignal.abort(new RangeError("stop"));
    await assert.rejects(chooseEnvironment([broken, hostSource], { ...(await request("npm")), signal }), /stop/);
  });

  it("tells where tools are not what the project asks for, and hashes what they are, wherever home and project are", async () => {
    const { facts } = await project("npm");
    const chosen = { ...(await hostSource.resolve(await request("npm"))), reason: "", passedOver: [] };
    const complete = (version: string, path: string[] = [], home = "/home/a") =>
      completeEnvironment({ ...chosen, path }, facts, [{ name: "node", version }], { home });
    assert.deepEqual(complete("20.1.0").differences, [".nvmrc asks for node 22: here it is 20.1.0"]);
    assert.deepEqual(complete("22.1.0").differences, []);
    assert.deepEqual(completeEnvironment(chosen, facts, [], { home: "/" }).differences, [".nvmrc asks for node 22: there is no node here"]);
    assert.equal(complete("22.1.0").hash, complete("22.1.0").hash);
    assert.notEqual(complete("22.1.0").hash, complete("22.1.1").hash);
    assert.equal(complete("22.1.0", ["/home/a/n"]).hash, complete("22.1.0", ["/root/n"], "/root").hash);
    const below = (workspace: string) =>
      completeEnvironment({ ...chosen, variables: { W: `${workspace}/b` } }, facts, [], { workspace, home: "/home/a" }).hash;
    assert.equal(below("/home/a/one"), below("/srv/two"));
    assert.match(complete("22.1.0").hash, /^sha256:[0-9a-f]{64}$/);
  });
});
