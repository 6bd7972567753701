import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import { GuildError, type ResolveRequest } from "@guildhall/core";
import { environmentSourceContract, removeTree } from "@guildhall/core/testing";

import { hostFiles } from "../../project/host-files.ts";
import { writeFixtureFlake } from "../../testing/fixture-flake.ts";
import { type NixSetup, runNix } from "./nix-command.ts";
import { nixSource } from "./nix-source.ts";
import { copyNix, storePathOf } from "./nix-store.ts";

const made: string[] = [];
after(() => {
  for (const directory of made) removeTree(directory);
});

function directory(name: string): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), `guild-nix-${name}-`)));
  chmodSync(path, 0o755);
  made.push(path);
  return path;
}

const facts = { ecosystems: [], services: [], declared: [], problems: [] };

function project(options: Parameters<typeof writeFixtureFlake>[1] & { empty?: boolean } = {}) {
  const workspace = directory("project");
  // Nobody but root can read it: it is a copy that is evaluated.
  chmodSync(workspace, 0o700);
  if (options.empty !== true) writeFixtureFlake(workspace, options);
  return { workspace, facts, files: hostFiles(workspace), trusted: true };
}

const place = directory("store");
const user = process.getuid?.() === 0 ? { uid: 60790, gid: 60790 } : undefined;
const setup: NixSetup = {
  command: ["nix"],
  directory: place,
  storeRoot: join(place, "root"),
  user,
  substituters: [],
  trustedKeys: [],
  timeoutMs: 120_000,
};
const sandbox = { mounts: true, pure: true };
const source = (changes: Partial<NixSetup> = {}, file = "cache.json") =>
  nixSource({ setup: { ...setup, ...changes }, cacheFile: join(place, file), sandbox });
const request = (of: ReturnType<typeof project>, changes: Partial<ResolveRequest> = {}): ResolveRequest => ({
  ...of,
  signal: new AbortController().signal,
  progress: () => undefined,
  ...changes,
});

environmentSourceContract("Nix", async () => ({ source: source(), claimed: project(), other: project({ empty: true }) }));

describe("a flake's shell", () => {
  it("is what it exports, without the builder's own, and its tools lie in the store", async () => {
    const lines: string[] = [];
    const found = await source({}, "first.json").resolve(
      request(project({ version: "4.5.6", hook: "export HOOKED=1" }), { progress: (line) => void lines.push(line) }),
    );
    assert.deepEqual([found.variables["GREETING"], found.variables["FROM_SETUP"], found.shellHook], ["hello", "yes", "export HOOKED=1"]);
    for (const name of ["BUILD_ONLY", "NIX_BUILD_TOP", "TMPDIR", "HOME", "out", "stdenv", "PATH"])
      assert.ok(!(name in found.variables), name);
    assert.deepEqual(
      found.path.map((one) => one.replace(/^\/nix\/store\/[^-]+-/, "")),
      ["greet/bin", "bash-static/bin"],
    );
    const [mount] = found.mounts;
    assert.equal(mount?.at, "/nix/store");
    assert.ok(statSync(join(mount?.source ?? "", (found.path[0] ?? "").slice("/nix/store/".length), "greet")).isFile());
    assert.ok(
      lines.some((line) => line.includes("greet-version")),
      lines.join("\n"),
    );
    if (user !== undefined) assert.equal(lstatSync(join(place, "root/nix/store")).uid, user.uid);
    assert.deepEqual(readdirSync(join(place, "copies")), []);
  });

  it("is taken from the cache without any Nix as long as its files are the same", async () => {
    const one = project({ version: "7.0.0" });
    const first = await source({}, "warm.json").resolve(request(one));
    const none = source({ command: ["/nonexistent/nix"] }, "warm.json");
    assert.deepEqual(await none.resolve(request(one)), first);
    writeFileSync(join(one.workspace, "src.c"), "int main;\n");
    assert.deepEqual(await none.resolve(request(one)), first);
    writeFixtureFlake(one.workspace, { version: "7.0.1" });
    await assert.rejects(none.resolve(request(one)), /Nix is not installed here/);
    const second = await source({}, "warm.json").resolve(request(one));
    assert.notEqual(second.variables["GREET_VERSION"], first.variables["GREET_VERSION"]);
  });

  it("is built anew for another store, which has nothing of the first", async () => {
    const one = project({ version: "7.5.0" });
    await source({}, "stores.json").resolve(request(one));
    const other = directory("other-store");
    const found = await source({ directory: other, storeRoot: join(other, "root") }, "stores.json").resolve(request(one));
    const [root = ""] = found.roots ?? [];
    assert.ok(root.startsWith(other), root);
    assert.ok(existsSync((found.variables["GREET_VERSION"] ?? "").replace("/nix/store", join(other, "root/nix/store"))));
  });

  it("outlives a garbage collection, by its root", async () => {
    const found = await source({}, "root.json").resolve(request(project({ version: "8.0.0" })));
    await runNix(setup, ["store", "gc"], { signal: new AbortController().signal, progress: () => undefined });
    const version = (found.variables["GREET_VERSION"] ?? "").replace("/nix/store", join(place, "root/nix/store"));
    assert.ok(existsSync(version), version);
  });

  it("is copied into the store of another machine by ssh, for which a script stands that runs the other side here", async () => {
    const found = await source({}, "ssh.json").resolve(request(project({ version: "8.1.0" })));
    const paths = (found.roots ?? []).flatMap((root) => storePathOf(root) ?? []);
    const there = directory("there");
    chmodSync(there, 0o777);
    const fake = directory("fake");
    const serve =
      '#!/bin/sh\nid -un >&2 || exit 9 # as ssh itself, it wants a name\necho "$@" >&2\nwhile [ "${1#nix-store}" = "$1" ]; do shift; done\nexec sh -c "$*"\n';
    writeFileSync(join(fake, "ssh"), serve, { mode: 0o755 });
    const by: NixSetup = { ...setup, command: ["env", `PATH=${fake}:/usr/bin:/bin`, "nix"] };
    const run = { signal: new AbortController().signal, progress: () => undefined };
    const store = `ssh://worker.example?remote-store=local%3Froot=${there}`;
    assert.deepEqual(await copyNix(by, paths, { store, fetch: false }, run), paths);
    for (const path of paths) assert.ok(existsSync(join(there, path)), path);
    await assert.rejects(copyNix(by, paths, { store, fetch: true }, run), /what another machine has is not known here/);
  });

  it("may be a shell.nix, which sees nothing beyond the project", async () => {
    const found = await source().resolve(request(project({ entry: "shell.nix", version: "0.9.0" })));
    assert.deepEqual([found.source, found.variables["GREETING"]], ["shell.nix", "hello"]);
    const nosy = project({ entry: "shell.nix", broken: 'builtins.trace (builtins.readFile "/etc/passwd") {}' });
    await assert.rejects(source().resolve(request(nosy)), /access to .*\/etc\/passwd.* is forbidden|restricted mode/i);
  });
});

describe("a flake that cannot be had", () => {
  const fails = (
    options: Parameters<typeof project>[0],
    changes: Partial<ResolveRequest>,
    message: RegExp,
    code: string,
    nix: Partial<NixSetup> = {},
  ) =>
    assert.rejects(source(nix).resolve(request(project(options), changes)), (error) => {
      assert.ok(
        GuildError.is(error) && error.code === code && message.test(error.line) && !error.line.includes("\n"),
        GuildError.from(error).line,
      );
      return true;
    });

  it("says in one line what is wrong and what to do", async () => {
    await fails({}, { trusted: false }, /flake\.nix is not trusted.*guild trust add/, "failed_precondition");
    await fails({ broken: "{ outputs = { self }: { devShells = oops; }; }" }, {}, /undefined variable 'oops'/, "invalid_argument");
    await fails({ broken: "{ outputs = " }, {}, /Nix says: .*syntax error/, "invalid_argument");
    const input = directory("input");
    writeFileSync(join(input, "flake.nix"), "{ outputs = _: { }; }");
    await fails(
      { broken: `{ inputs.x.url = "path:${input}"; outputs = { self, x }: { }; }` },
      {},
      /lock file is out of date/,
      "failed_precondition",
    );
    await fails({ version: "0.0.1" }, {}, /Nix is not installed here.*nix-bin/, "failed_precondition", { command: ["/nonexistent/nix"] });
    const full = join(directory("full"), "nix");
    writeFileSync(full, "#!/bin/sh\necho 'error: writing to file: No space left on device' >&2\nexit 1\n", { mode: 0o755 });
    await fails({ version: "0.0.5" }, {}, /the disk of the Nix store is full.*guild env gc/, "storage_full", { command: [full] });
    await fails({ version: "0.0.2" }, {}, /not done after/, "deadline_exceeded", { timeoutMs: 1 });
  });

  it("stops when it is told to", async () => {
    const stop = new AbortController();
    const resolving = source().resolve(request(project({ version: "0.0.3" }), { signal: stop.signal }));
    stop.abort(new GuildError("cancelled", "enough"));
    await assert.rejects(resolving, /enough/);
  });

  it("is not read through links that lead out of the project", async () => {
    const outside = directory("outside");
    mkdirSync(join(outside, "secret"));
    writeFileSync(join(outside, "secret/key"), "s3cret");
    const one = project({ version: "0.0.4" });
    symlinkSync(join(outside, "secret"), join(one.workspace, "linked"));
    await source().resolve(request(one));
    const leaked = readdirSync(join(place, "root/nix/store")).filter(
      (name) =>
        existsSync(join(place, "root/nix/store", name, "linked/key")) &&
        !lstatSync(join(place, "root/nix/store", name, "linked")).isSymbolicLink(),
    );
    assert.deepEqual(leaked, []);
  });
});
