import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import type { Sandbox, SandboxProvider, SandboxSpec } from "@guildhall/core";
import { runScript, sandboxContract } from "@guildhall/core/testing";

import { findHierarchies } from "../cgroup/hierarchies.ts";
import { mountOverlay } from "../testing/overlay.ts";
import { providerFixture } from "../testing/provider-fixture.ts";
import { BubblewrapProvider } from "./provider.ts";

const asRoot = process.geteuid?.() === 0;

sandboxContract("bubblewrap from the pool", () => providerFixture((stateDir) => fromPool(new BubblewrapProvider({ stateDir, warm: 1 }))), {
  isolated: true,
  sample: process.env["GUILD_TEST_FULL"] === undefined,
});

describe("warm pool", () => {
  it("gives a sandbox no privilege, mount option or namespace that one started for the purpose lacks", async () => {
    const fixture = await providerFixture((stateDir) => new BubblewrapProvider({ stateDir, warm: 1 }));
    const provider = fixture.provider as BubblewrapProvider;
    try {
      const workspace = await fixture.newWorkspace();
      await promisify(execFile)("git", ["init", "-q", workspace]);
      const cold = await provider.create({ id: `cold-${process.pid}`, workspace, leaseMs: 10_000 });
      const was = await seen(cold);
      await cold.dispose();
      await provider.prepare({});
      const warm = await provider.create({ id: `warm-${process.pid}`, workspace, leaseMs: 10_000 });
      assert.equal(provider.takenFromPool, 1);
      assert.deepEqual(await seen(warm), was);
      await warm.dispose();
    } finally {
      await fixture.close();
    }
  });

  it("learns other limits, and programs of a toolchain alone, from who asks for them twice", async () => {
    const fixture = await providerFixture((stateDir) => new BubblewrapProvider({ stateDir, warm: 1 }));
    const provider = fixture.provider as BubblewrapProvider;
    let number = 0;
    const open = async (more: Partial<SandboxSpec>): Promise<string> => {
      const id = `learn-${process.pid}-${(number += 1)}`;
      const sandbox = await provider.create({ id, workspace: await fixture.newWorkspace(), ...more });
      const { stdout } = await runScript(sandbox, "ls /; df -B1 --output=size /tmp 2>/dev/null || echo none");
      await sandbox.dispose();
      return stdout;
    };
    try {
      await provider.prepare({});
      for (const more of [{ limits: { memoryBytes: 300 * 2 ** 20 } }, { toolchain: { mounts: [], path: [], pure: true } }]) {
        const before = provider.takenFromPool;
        const cold = await open(more);
        await open(more);
        assert.equal(provider.takenFromPool, before);
        while (provider.takenFromPool === before) {
          assert.equal(await open(more), cold);
          await sleep(100);
        }
      }
    } finally {
      await fixture.close();
    }
  });

  it("starts one for the purpose when limits are others, none is ready, or those that were have died", async () => {
    const fixture = await providerFixture((stateDir) => new BubblewrapProvider({ stateDir, warm: 1 }));
    const provider = fixture.provider as BubblewrapProvider;
    const open = async (id: string, limits: SandboxSpec["limits"] = {}): Promise<void> => {
      const sandbox = await provider.create({ id: `${id}-${process.pid}`, workspace: await fixture.newWorkspace(), limits });
      assert.equal((await runScript(sandbox, "echo here")).stdout, "here\n");
      await sandbox.dispose();
    };
    try {
      await provider.prepare({});
      await open("other", { memoryBytes: 256 * 2 ** 20 });
      assert.equal(provider.takenFromPool, 0);
      await killPrepared();
      await open("died");
      // Where its end was not heard of yet, it was taken and found dead.
      const taken = provider.takenFromPool;
      await provider.prepare({});
      await Promise.all([open("first"), open("second")]);
      assert.equal(provider.takenFromPool, taken + 1);
    } finally {
      await fixture.close();
    }
  });

  it("fills itself again after one was taken, and leaves nothing when it is closed", async () => {
    const fixture = await providerFixture((stateDir) => new BubblewrapProvider({ stateDir, warm: 2 }));
    const provider = fixture.provider as BubblewrapProvider;
    await provider.prepare({});
    const sandbox = await provider.create({ id: `taken-${process.pid}`, workspace: await fixture.newWorkspace() });
    while ((await prepared()).length < 2) await sleep(20);
    await sandbox.dispose();
    await fixture.close();
    assert.deepEqual(await prepared(), []);
    assert.deepEqual(await groups(), []);
  });

  it("ends with the process that made it", async () => {
    const home = await mkdtemp(join(tmpdir(), "guildhall-pool-"));
    try {
      const program = `
        import { createSandboxProvider } from ${JSON.stringify(new URL("../index.ts", import.meta.url).href)};
        const provider = createSandboxProvider("bubblewrap", { stateDir: ${JSON.stringify(join(home, "state"))}, warm: 2 });
        await provider.prepare({});
        process.kill(process.pid, "SIGKILL");`;
      await chmod(home, 0o777);
      await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]).catch(() => undefined); // killed, as it should be
      while ((await processesWith(home)).length > 0) await sleep(20);
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  });

  if (asRoot) {
    it("places a copy where the workspace's file system maps no ids", async () => {
      const overlay = await mountOverlay();
      const fixture = await providerFixture((stateDir) => new BubblewrapProvider({ stateDir, warm: 2 }));
      const provider = fixture.provider as BubblewrapProvider;
      try {
        await provider.prepare({});
        const workspace = await mkdtemp(join(overlay.directory, "workspace-"));
        const sandbox = await provider.create({ id: `copy-${process.pid}`, workspace });
        await runScript(sandbox, "echo made > file");
        await sandbox.dispose();
        assert.equal(provider.takenFromPool, 2); // the first did not work out
        assert.equal(await readFile(join(workspace, "file"), "utf8"), "made\n");
      } finally {
        await fixture.close();
        await overlay.close();
      }
    });
  }

  /** What a process in it can see of its own cage. */
  async function seen(sandbox: Sandbox): Promise<string[]> {
    const script =
      "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/self/status; cat /proc/self/uid_map /proc/self/gid_map /proc/1/cmdline | tr '\\0' ' '; " +
      "cut -d' ' -f 4-6 /proc/self/mountinfo | sort; ls /proc/self/fd | wc -l; ls /; env | sort; cat /proc/sys/user/max_user_namespaces";
    const { stdout } = await runScript(sandbox, script);
    // What the init was told comes over the connection, and the host's side of a mount has other names when a launcher has prepared it.
    return stdout.split("\n").filter((line) => !line.startsWith("/run/guildhall/init"));
  }

  async function groups(): Promise<string[]> {
    const { memory, pids, cpu, unified } = findHierarchies();
    const parents = [...new Set([memory, pids, cpu, unified].filter((path) => path !== undefined))];
    return (await Promise.all(parents.map((path) => readdir(path))))
      .flat()
      .filter((name) => name.startsWith(`guildhall-warm-${process.pid}-`));
  }

  /** Inits that wait, of this process. */
  async function prepared(): Promise<number[]> {
    const found: number[] = [];
    for (const pid of await processesWith("--await")) {
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => ""); // ended meanwhile
      if (/^Name:\tbwrap$/m.test(status) && new RegExp(`^PPid:\\t${process.pid}$`, "m").test(status)) found.push(pid);
    }
    return found;
  }

  async function killPrepared(): Promise<void> {
    for (const pid of await prepared()) process.kill(pid, "SIGKILL");
    while ((await prepared()).length > 0) await sleep(20);
  }

  async function processesWith(text: string): Promise<number[]> {
    const found: number[] = [];
    for (const pid of await readdir("/proc")) {
      if (!/^\d+$/.test(pid)) continue;
      const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""); // ended meanwhile
      if (command.includes(text)) found.push(Number(pid));
    }
    return found;
  }
});

/** Every sandbox that can be is one that was prepared, which is checked. */
function fromPool(inner: BubblewrapProvider): SandboxProvider {
  let turn: Promise<unknown> = Promise.resolve();
  const make = async (spec: SandboxSpec): Promise<Sandbox> => {
    await inner.prepare(spec.limits ?? {});
    const before = inner.takenFromPool;
    const sandbox = await inner.create(spec);
    assert.equal(inner.takenFromPool, before + (spec.toolchain?.pure === true ? 0 : 1), "it was not taken from the pool");
    return sandbox;
  };
  return {
    name: inner.name,
    probe: () => inner.probe(),
    create: (spec) => {
      const made = turn.then(() => make(spec));
      turn = made.catch(() => undefined); // told to whoever wanted it
      return made;
    },
    close: () => inner.close(),
  };
}
