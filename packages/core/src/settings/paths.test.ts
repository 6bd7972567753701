import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import manifest from "../../package.json" with { type: "json" };
import { GuildError } from "../errors.ts";
import { ensureRuntimeDirectory, resolvePaths, VERSION } from "./paths.ts";

const someone = { env: {}, home: "/home/ada", uid: 1000, tmp: "/tmp" };

describe("resolvePaths", () => {
  it("follows XDG and names the runtime directory after the data directory", () => {
    const plain = resolvePaths(someone);
    assert.equal(plain.settingsFile, "/home/ada/.config/guildhall/settings.toml");
    assert.equal(plain.data, "/home/ada/.local/share/guildhall");
    const other = resolvePaths({ ...someone, env: { XDG_DATA_HOME: "/srv/data", XDG_RUNTIME_DIR: "/run/user/1000" } });
    assert.equal(other.data, "/srv/data/guildhall");
    assert.match(other.socket, /^\/run\/user\/1000\/guildhall\/[0-9a-f]{8}\/daemon\.sock$/);
    assert.notEqual(other.runtime, plain.runtime);
  });

  it("keeps two users and two homes apart", () => {
    const sockets = [someone, { ...someone, uid: 1001 }, { ...someone, env: { GUILD_HOME: "/tmp/x" } }].map(
      (input) => resolvePaths(input).socket,
    );
    assert.equal(new Set(sockets).size, 3);
  });

  it("falls back to a short directory where the socket's path would be too long", () => {
    const paths = resolvePaths({ ...someone, env: { XDG_RUNTIME_DIR: `/run/${"x".repeat(120)}` } });
    assert.ok(paths.socket.startsWith("/tmp/guildhall-1000/"));
  });
});

describe("ensureRuntimeDirectory", () => {
  it("makes it 0700 and refuses one that others can enter", (test) => {
    const tmp = mkdtempSync(join(tmpdir(), "guild-paths-"));
    test.after(() => rmSync(tmp, { recursive: true }));
    const uid = userInfo().uid;
    const paths = resolvePaths({ env: { GUILD_HOME: join(tmp, "home") }, home: tmp, uid, tmp });
    ensureRuntimeDirectory(paths, uid);
    ensureRuntimeDirectory(paths, uid);
    chmodSync(paths.runtime, 0o755);
    assert.throws(
      () => ensureRuntimeDirectory(paths, uid),
      (error) => GuildError.is(error, "permission_denied"),
    );
    rmSync(paths.runtime, { recursive: true });
    mkdirSync(join(tmp, "elsewhere"));
    assert.throws(
      () => ensureRuntimeDirectory(paths, uid + 1),
      (error) => GuildError.is(error, "permission_denied"),
    );
  });
});

it("VERSION is the package's", () => assert.equal(VERSION, manifest.version));
