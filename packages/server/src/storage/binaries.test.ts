import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";

import { findBinaries } from "./binaries.ts";

describe("PostgreSQL's programs", () => {
  let root: string;
  let installed: { directory: string; version: string };
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "guildhall-binaries-"));
    chmodSync(root, 0o755);
    installed = { directory: join(root, "package"), version: "18.0.0" };
    const native = join(installed.directory, "native");
    for (const folder of ["bin", "lib"]) mkdirSync(join(native, folder), { recursive: true });
    for (const program of ["initdb", "postgres"]) writeFileSync(join(native, "bin", program), "#!/bin/sh\n", { mode: 0o755 });
    writeFileSync(join(native, "lib", "libpq.so.5.18"), "a library");
    const links = [{ source: "native/lib/libpq.so.5.18", target: "native/lib/libpq.so.5" }];
    writeFileSync(join(native, "pg-symlinks.json"), JSON.stringify(links));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const cache = () => join(root, "cache");
  const hydrate = () => symlinkSync("libpq.so.5.18", join(installed.directory, "native", "lib", "libpq.so.5"));

  it("are used where npm put them when they are whole", async () => {
    hydrate();
    const { postgres } = await findBinaries(cache(), undefined, installed);
    assert.equal(postgres, join(installed.directory, "native", "bin", "postgres"));
    assert.equal(existsSync(cache()), false);
  });

  it("are copied once, with the links that the install script would have made", async () => {
    const found = await Promise.all(Array.from({ length: 3 }, () => findBinaries(cache(), undefined, installed)));
    const { directory, postgres } = await findBinaries(cache(), undefined, installed);
    assert.ok(found.every((one) => one.postgres === postgres));
    assert.equal(execFileSync("cat", [join(directory, "lib", "libpq.so.5")], { encoding: "utf8" }), "a library");
    execFileSync(postgres);
    assert.deepEqual(readdirSync(cache()), ["postgresql-18.0.0"]);
  });

  it("are copied to where the user who runs them can go", async () => {
    hydrate();
    const user = { uid: 54_321, gid: 54_321 };
    assert.equal((await findBinaries(cache(), user, installed)).directory, join(installed.directory, "native"));
    chmodSync(installed.directory, 0o700);
    assert.equal((await findBinaries(cache(), user, installed)).directory, join(cache(), "postgresql-18.0.0", "native"));
  });
});
