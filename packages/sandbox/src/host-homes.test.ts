import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

const program = `
  import { createSandboxProvider } from ${JSON.stringify(new URL("./index.ts", import.meta.url).href)};
  const provider = createSandboxProvider("host", { stateDir: process.env.TMPDIR + "/state" });
  const sandbox = await provider.create({ id: "sbx_homes", workspace: process.env.TMPDIR + "/workspace" });
  await new Promise((resolve) => process.stdout.write("ready", resolve));
  await new Promise((resolve) => process.stdin.on("close", resolve).resume());
  await sandbox.dispose();
  process.exit(0);`;

describe("the home of a sandbox without isolation", () => {
  it("is removed by the next when its owner was killed, and stays while that one lives", async () => {
    const directory = mkdtempSync(join(tmpdir(), "guildhall-homes-"));
    const begin = async () => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
        env: { ...process.env, TMPDIR: directory },
        stdio: ["pipe", "pipe", "inherit"],
      });
      await once(child.stdout, "data");
      return child;
    };
    const homes = (): number => readdirSync(directory).filter((name) => name.startsWith("guildhall-")).length;
    try {
      mkdirSync(join(directory, "workspace"));
      const killed = await begin();
      const living = await begin();
      assert.equal(homes(), 2);
      killed.kill("SIGKILL");
      await once(killed, "exit");
      assert.equal(homes(), 2, "nobody was there to remove it");
      const next = await begin();
      assert.equal(homes(), 2, "that of the killed one is gone");
      for (const child of [living, next]) {
        child.stdin.end();
        await once(child, "exit");
      }
      assert.equal(homes(), 0);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
