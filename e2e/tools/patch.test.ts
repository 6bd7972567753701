import assert from "node:assert/strict";
import { chmod, link, lstat, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { verifies } from "../verifies.ts";
import { describeInProviders } from "./providers.ts";
import { openToolBench } from "./tool-bench.ts";

await describeInProviders("apply_patch", (provider) => {
  test("git's own patches of many files are applied as git applies them, and taken back", async () => {
    verifies("D6");
    await using bench = await openToolBench(provider);
    const at = (path: string): string => join(bench.workspace, path);
    await mkdir(at("src"));
    await writeFile(at("src/crlf.txt"), "one\r\ntwo\r\nthree");
    await writeFile(at("src/run.sh"), "#!/bin/sh\necho 1\n");
    await chmod(at("src/run.sh"), 0o755);
    await writeFile(at("gone"), "x\n");
    const patch = await bench.bash(
      [
        "mkdir $HOME/g; cp -r src gone $HOME/g; cd $HOME/g; git init -q; git add -A; git -c user.name=t -c user.email=t@t commit -qm 1",
        "printf 'one\\r\\nTWO\\r\\nthree' > src/crlf.txt; sed -i s/1/2/ src/run.sh; git rm -q gone; mkdir new; printf 'a\\nb' > new/f; git add -A",
        "git diff --cached",
      ].join("; "),
    );
    assert.equal(patch.status, "ok", patch.output);
    const text = patch.output.slice(0, patch.output.lastIndexOf("[exit code"));
    const applied = await bench.call("apply_patch", { patch: text });
    assert.equal(applied.status, "ok", applied.output);
    assert.equal(await readFile(at("src/crlf.txt"), "utf8"), "one\r\nTWO\r\nthree");
    assert.equal(await readFile(at("src/run.sh"), "utf8"), "#!/bin/sh\necho 2\n");
    assert.equal((await stat(at("src/run.sh"))).mode & 0o777, 0o755);
    assert.equal(await readFile(at("new/f"), "utf8"), "a\nb");
    await assert.rejects(lstat(at("gone")), { code: "ENOENT" });
    for (const path of ["src/crlf.txt", "src/run.sh", "new/f", "gone"]) {
      const undone = await bench.edit({ command: "undo", path });
      assert.equal(undone.status, "ok", undone.output);
    }
    assert.equal(await readFile(at("src/crlf.txt"), "utf8"), "one\r\ntwo\r\nthree");
    assert.equal(await readFile(at("gone"), "utf8"), "x\n");
    await assert.rejects(lstat(at("new")), { code: "ENOENT" });
  });

  test("links stay links, and what leads out is refused with nothing changed", async () => {
    verifies("D6", "F4");
    await using bench = await openToolBench(provider);
    const at = (path: string): string => join(bench.workspace, path);
    await writeFile(at("real"), "1\n");
    await link(at("real"), at("hard"));
    await symlink("real", at("soft"));
    await symlink("/etc", at("away"));
    const patch = (path: string, from: string, to: string): string => `--- a/${path}\n+++ b/${path}\n@@ -1 +1 @@\n-${from}\n+${to}\n`;
    assert.equal((await bench.call("apply_patch", { patch: patch("soft", "1", "2") })).status, "ok");
    assert.ok((await lstat(at("soft"))).isSymbolicLink());
    assert.equal(await readFile(at("hard"), "utf8"), "2\n");
    const out = await bench.call("apply_patch", { patch: patch("real", "2", "3") + patch("away/hostname", "x", "y") });
    assert.equal(out.status, "error");
    assert.match(out.output, /outside the workspace.*Nothing was changed\.$/s);
    assert.equal(await readFile(at("real"), "utf8"), "2\n");
    const removal = await bench.call("apply_patch", { patch: "*** Begin Patch\n*** Delete File: soft\n*** End Patch" });
    assert.match(removal.output, /symbolic link/);
  });
});
