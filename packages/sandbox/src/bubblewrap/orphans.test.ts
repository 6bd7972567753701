import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { seededRandom } from "@guildhall/core/testing";

const KILLS = process.env["GUILD_TEST_FULL"] === undefined ? 6 : 80;
/** Sandboxes that one process begins at once. */
const BEGUN = 12;

describe("sandboxes that are being started", () => {
  /**
   * Bubblewrap's child waits for its parent before it becomes a sandbox. It must not wait for one that was killed meanwhile: nothing else would
   * ever end it.
   */
  it("leave nothing when whoever starts them is killed, at whatever moment", async (t) => {
    const random = seededRandom();
    t.diagnostic(`seed ${random.seed}`);
    const home = await mkdtemp(join(tmpdir(), "guildhall-orphans-"));
    const id = `orphan-${process.pid}-`;
    const marks = [home, id];
    const index = JSON.stringify(new URL("../index.ts", import.meta.url).href);
    const program = `
      import { createSandboxProvider } from ${index};
      const [, home, mark] = process.argv;
      const provider = createSandboxProvider("bubblewrap", { stateDir: home + "/state", warm: ${BEGUN / 2} });
      provider.prepare({}).catch(() => undefined);
      process.stdout.write("begun");
      for (let number = 0; number < ${BEGUN / 2}; number++) {
        provider.create({ id: mark + number, workspace: home + "/workspace" }).catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      setInterval(() => undefined, 1000);`;
    try {
      await mkdir(join(home, "workspace"));
      await chmod(home, 0o777);
      for (let kill = 0; kill < KILLS; kill++) {
        const args = ["--input-type=module", "-e", program, home, `${id}${kill}-`];
        const owner = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
        marks.push(`guildhall-warm-${owner.pid}-`);
        await once(owner.stdout, "data");
        await sleep(random.below(150));
        owner.kill("SIGKILL");
        await once(owner, "exit");
      }
      const until = performance.now() + 20_000;
      while ((await left(marks)).length > 0 && performance.now() < until) await sleep(50);
      assert.deepEqual(await left(marks), []);
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  });
});

/** Processes whose command line or control group has one of the marks: of root's sandboxes only the group tells whose they are. */
async function left(marks: string[]): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const read = (name: string) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => ""); // ended meanwhile
    const [command, groups] = [await read("cmdline"), await read("cgroup")];
    if (marks.some((mark) => command.includes(mark) || groups.includes(mark)))
      found.push(`${pid} ${command.replaceAll("\0", " ").slice(0, 200)}`);
  }
  return found;
}
