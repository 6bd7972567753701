import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";

import { verifies } from "./verifies.ts";

const root = dirname(import.meta.dirname);
const scratch = mkdtempSync(join(tmpdir(), "guildhall-set-up-"));
after(() => rmSync(scratch, { recursive: true }));

/** Says what it was called with, and counts how often it was built. */
const buildScript = `
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
mkdirSync("dist", { recursive: true });
appendFileSync("built", "x");
writeFileSync("dist/daemon.js", "");
writeFileSync("dist/guild.js", "console.log(JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd() }))");
`;

/** A native part that is made when its script has changed, and counts how often it was. */
const nativeScript = (version: string): string => `#!/bin/sh
cd "$(dirname "$0")" && mkdir -p build
[ "$(cat build/version 2>/dev/null)" = ${version} ] && exit 0
printf ${version} >build/version && printf x >>build/made
`;

/** A checkout with the real launcher and set-up around one small package; npm has nothing to fetch for it. */
function checkout(name: string, packages = ""): string {
  const home = join(scratch, name);
  mkdirSync(join(home, "tools"), { recursive: true });
  mkdirSync(join(home, "packages/thing/src"), { recursive: true });
  mkdirSync(join(home, "packages/thing/native"));
  for (const file of ["guild", "tools/set-up", "tools/installed.mjs"]) cpSync(join(root, file), join(home, file));
  writeFileSync(join(home, "tools/PACKAGES"), packages);
  writeFileSync(join(home, "tools/build.ts"), buildScript);
  writeFileSync(
    join(home, "package.json"),
    JSON.stringify({ name: "checkout", version: "1.0.0", type: "module", workspaces: ["packages/*"] }),
  );
  writeFileSync(join(home, "packages/thing/package.json"), JSON.stringify({ name: "thing", version: "1.0.0" }));
  writeFileSync(join(home, "packages/thing/src/index.ts"), "export {};\n");
  writeFileSync(join(home, "packages/thing/native/build.sh"), nativeScript("1"));
  const lock = spawnSync("npm", ["install", "--package-lock-only", "--offline"], { cwd: home, encoding: "utf8" });
  assert.equal(lock.status, 0, lock.stderr);
  return home;
}

function guild(program: string, options: { args?: string[]; cwd?: string; path?: string; prefix?: string[] } = {}) {
  const [command = program, ...args] = [...(options.prefix ?? []), program, ...(options.args ?? [])];
  return spawnSync(command, args, {
    cwd: options.cwd ?? scratch,
    encoding: "utf8",
    env: { ...process.env, PATH: options.path ?? `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}` },
  });
}

const built = (home: string): number => readFileSync(join(home, "built"), "utf8").length;
const madeNative = (home: string): number => readFileSync(join(home, "packages/thing/native/build/made"), "utf8").length;
const change = (file: string, text: string): void => {
  writeFileSync(file, text);
  const later = Date.now() / 1000 + 1;
  utimesSync(file, later, later);
};

test("the first use makes the set-up and runs the command; standard output is the command's alone", () => {
  verifies("B8");
  const home = checkout("first");
  const elsewhere = mkdtempSync(join(scratch, "elsewhere-"));
  const first = guild(join(home, "guild"), { args: ["run", "two words", ""], cwd: elsewhere });
  assert.equal(first.status, 0, first.stderr);
  assert.deepEqual(JSON.parse(first.stdout), { args: ["run", "two words", ""], cwd: elsewhere });
  assert.match(first.stderr, /set-up: npm install/);
  assert.equal(madeNative(home), 1);
});

test("with everything in place it looks at times, and starts nothing but Node", () => {
  verifies("B8");
  const home = checkout("ready");
  assert.equal(guild(join(home, "guild")).status, 0);
  const programs = join(scratch, "find-alone");
  mkdirSync(programs);
  symlinkSync(spawnSync("which", ["find"], { encoding: "utf8" }).stdout.trim(), join(programs, "find"));
  const again = guild(join(home, "guild"), { path: programs });
  assert.equal(again.status, 0, again.stderr);
  assert.equal(again.stderr, "");
});

test("a link to the launcher runs the checkout that it leads to", () => {
  const home = checkout("linked");
  const link = join(scratch, "guild-link");
  symlinkSync(join(home, "guild"), link);
  assert.equal(guild(link).status, 0);
  assert.ok(existsSync(join(home, "dist/guild.js")));
});

test("what has changed is made again, and nothing else", () => {
  const home = checkout("changing");
  const launcher = join(home, "guild");
  assert.equal(guild(launcher).status, 0);
  change(join(home, "packages/thing/src/index.ts"), "export {};\n");
  assert.equal(guild(launcher).status, 0);
  assert.deepEqual([built(home), madeNative(home)], [1, 1], "a new time alone is no change");
  change(join(home, "packages/thing/src/index.ts"), "export const a = 1;\n");
  assert.equal(guild(launcher).status, 0);
  assert.deepEqual([built(home), madeNative(home)], [2, 1]);
  change(join(home, "packages/thing/native/build.sh"), nativeScript("2"));
  assert.equal(guild(launcher).status, 0);
  assert.deepEqual([built(home), madeNative(home)], [2, 2]);
});

test("a set-up that was cut off is completed by the next use", () => {
  const home = checkout("cut");
  const script = join(home, "packages/thing/native/build.sh");
  writeFileSync(script, "exit 3\n");
  const cut = guild(join(home, "guild"));
  assert.equal(cut.status, 1);
  assert.match(cut.stderr, /packages\/thing\/native\/build\.sh failed/);
  assert.equal(cut.stdout, "");
  writeFileSync(script, nativeScript("1"));
  assert.equal(guild(join(home, "guild")).status, 0);
});

test("a missing system package is installed with root's rights or sudo", () => {
  const probe = join(scratch, "probe");
  const home = checkout("installing", `# comment\nthing-dev ${probe}\nsh sh\nother-thing /nowhere/at/all optional\n`);
  const programs = join(scratch, "programs");
  mkdirSync(programs);
  const stub = (name: string, text: string): void => {
    writeFileSync(join(programs, name), `#!/bin/sh\n${text}`);
    chmodSync(join(programs, name), 0o755);
  };
  stub("apt-get", `echo "$*" >>"${probe}.calls"; : >"${probe}"`);
  stub("sudo", `[ "$1" = -n ] && shift; exec "$@"`);
  const run = guild(join(home, "guild"), { path: `${programs}:${dirname(process.execPath)}:${process.env["PATH"] ?? ""}` });
  assert.equal(run.status, 0, run.stderr);
  assert.match(readFileSync(`${probe}.calls`, "utf8"), /install -y --no-install-recommends thing-dev other-thing\n/);
  assert.match(run.stderr, /going on without other-thing/);
});

test("without the right to install, the list to ask for is printed, and nothing is run", () => {
  verifies("B8");
  const home = checkout("asking", "test-only /nowhere test\nthing-dev /nowhere/at/all\nother-thing /nowhere/too optional\n");
  chmodSync(scratch, 0o755);
  const asRoot = process.getuid?.() === 0;
  if (asRoot) spawnSync("chown", ["-R", "65534:65534", home]);
  // Programs that the set-up needs, and no sudo among them.
  const programs = join(scratch, "programs-without-sudo");
  mkdirSync(programs);
  for (const name of ["sh", "dirname", "mkdir", "flock", "id", "sort", "tr", "sed", "apt-get", "node"]) {
    const found = name === "node" ? process.execPath : spawnSync("which", [name], { encoding: "utf8" }).stdout.trim();
    symlinkSync(found, join(programs, name));
  }
  const run = guild(join(home, "guild"), {
    path: programs,
    prefix: asRoot ? ["/usr/bin/setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] : [],
  });
  assert.equal(run.status, 2, run.stderr);
  assert.match(run.stderr, /missing system packages: thing-dev; .*apt-get install -y --no-install-recommends thing-dev other-thing/);
  assert.equal(run.stdout, "");
  assert.equal(existsSync(join(home, "node_modules")), false);
});
