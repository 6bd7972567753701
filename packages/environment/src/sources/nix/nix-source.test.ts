import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";

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

const sshd = ["/usr/sbin/sshd", "/usr/bin/sshd"].find((path) => existsSync(path));

/** An sshd of its own (root's, who is who may log in), on a free port of loopback, that the user who runs Nix knows as `guildhall-there`. */
async function listeningSshd(
  test: TestContext,
  { program, home, user }: { program: string; home: string; user: { uid: number; gid: number } },
): Promise<number> {
  const here = directory("sshd");
  const port = await new Promise<number>((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === "object" ? address.port : 0));
    });
  });
  const keys = join(home, ".ssh");
  mkdirSync(keys, { recursive: true, mode: 0o700 });
  for (const [file, comment] of [
    [join(here, "host"), "host"],
    [join(keys, "id_ed25519"), "user"],
  ] as const)
    execFileSync("/usr/bin/ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", file]);
  cpSync(join(keys, "id_ed25519.pub"), join(here, "authorized"));
  const host = readFileSync(join(here, "host.pub"), "utf8").split(" ").slice(0, 2).join(" ");
  writeFileSync(join(keys, "known_hosts"), `[127.0.0.1]:${port} ${host}\n`);
  writeFileSync(join(keys, "config"), `Host guildhall-there\n  HostName 127.0.0.1\n  Port ${port}\n  User root\n  BatchMode yes\n`, {
    mode: 0o600,
  });
  for (const path of [home, keys, ...readdirSync(keys).map((name) => join(keys, name))]) chownSync(path, user.uid, user.gid);
  writeFileSync(
    join(here, "config"),
    `Port ${port}\nListenAddress 127.0.0.1\nHostKey ${here}/host\nAuthorizedKeysFile ${here}/authorized\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nSetEnv PATH=/usr/bin:/bin\n`,
  );
  const own = "/run/sshd"; // compiled into it
  const made = !existsSync(own);
  if (made) mkdirSync(own, { mode: 0o755 });
  const child = spawn(program, ["-D", "-e", "-f", join(here, "config")], { stdio: ["ignore", "ignore", "pipe"] });
  test.after(() => {
    child.kill();
    if (made) removeTree(own);
  });
  let said = "";
  for await (const chunk of child.stderr) {
    said += String(chunk);
    if (said.includes("listening on")) break;
  }
  assert.match(said, /listening on/);
  return port;
}

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

  if (sshd !== undefined && user !== undefined && process.env["GUILD_TEST_FULL"] === "1") {
    it("is copied so through a real sshd, on loopback, by the key and the known hosts of the user who runs Nix", async (test) => {
      const found = await source({}, "sshd.json").resolve(request(project({ version: "8.2.0" })));
      const paths = (found.roots ?? []).flatMap((root) => storePathOf(root) ?? []);
      const there = directory("sshd-there");
      const port = await listeningSshd(test, { program: sshd, home: join(place, "home"), user });
      const store = `ssh://guildhall-there?remote-store=local%3Froot=${there}`;
      assert.ok(port > 0);
      assert.deepEqual(
        await copyNix(setup, paths, { store, fetch: false }, { signal: new AbortController().signal, progress: () => undefined }),
        paths,
      );
      for (const path of paths) assert.ok(existsSync(join(there, path)), path);
    });
  }

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
