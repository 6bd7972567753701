import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { CapabilityReport } from "@guildhall/core";
import { eventually, failsWith, runScript, startScript, type SandboxFixture } from "@guildhall/core/testing";

import { findHierarchies } from "../cgroup/hierarchies.ts";
import { providerFixture } from "../testing/provider-fixture.ts";
import { defaultToolkitDir } from "../toolkit.ts";
import { BubblewrapProvider } from "./provider.ts";

const run = promisify(execFile);
const asRoot = process.geteuid?.() === 0;
const onlyRoot = { skip: !asRoot && "only root can act for others" };
const caseFile = (name: string): string => fileURLToPath(new URL(`../testing/${name}.ts`, import.meta.url));

describe("bubblewrap sandboxes", () => {
  let fixture: SandboxFixture;
  const directories: string[] = [];
  before(async () => {
    fixture = await providerFixture((stateDir) => new BubblewrapProvider({ stateDir }));
  });
  after(async () => {
    await fixture.close();
    for (const directory of directories) await rm(directory, { recursive: true, force: true });
  });
  const newDirectory = async (parent: string): Promise<string> => {
    const directory = await mkdtemp(join(parent, "guildhall-place-"));
    directories.push(directory);
    return directory;
  };

  it("work in root's home, a user's home and the temporary directory alike", onlyRoot, async () => {
    const places = [
      { home: await newDirectory("/root"), uid: 0 },
      { home: await newDirectory("/home"), uid: 12345 },
      { home: await newDirectory(tmpdir()), uid: 0 },
      { home: await newDirectory(tmpdir()), uid: 12345 },
      { home: await newDirectory(tmpdir()), uid: 60789 },
    ];
    for (const [index, { home, uid }] of places.entries()) {
      const workspace = join(home, "project");
      await mkdir(workspace, { mode: 0o700 });
      await writeFile(join(workspace, "private"), "read me", { mode: 0o600 });
      await chown(join(workspace, "private"), uid, uid);
      await chown(workspace, uid, uid);
      await chmod(home, 0o700);
      const sandbox = await fixture.provider.create({ id: `place-${process.pid}-${index}`, workspace });
      const done = await runScript(sandbox, "cat private && mkdir d && echo x > d/made && stat -c %U . private d/made");
      assert.equal(done.stdout, "read meagent\nagent\nagent\n", `${workspace}: ${done.stderr}`);
      assert.equal((await stat(join(workspace, "d/made"))).uid, uid, workspace);
      await sandbox.dispose();
    }
  });

  it("are the same for an ordinary user", onlyRoot, async () => {
    const home = await newDirectory(tmpdir());
    await chown(home, 12346, 12346);
    const { stdout } = await run(process.execPath, [caseFile("ordinary-user"), home], { uid: 12346, gid: 12346, env: { HOME: home } });
    assert.deepEqual(JSON.parse(stdout), { usable: true, stdout: "first\nagent\nCapEff:\t0000000000000000\n", owner: 12346 });
  });

  it("leave no mount, cgroup, directory or process behind", async () => {
    const workspace = await fixture.newWorkspace();
    const ours = async (): Promise<string[]> =>
      (await readFile("/proc/self/mountinfo", "utf8")).split("\n").filter((line) => line.includes("guildhall") || line.includes(workspace));
    const mounts = await ours();
    const id = `traces-${process.pid}`;
    const sandbox = await fixture.provider.create({ id, workspace });
    await runScript(sandbox, "touch /tmp/x ~/x");
    await sandbox.dispose();
    assert.deepEqual(await ours(), mounts);
    assert.deepEqual(await groupsOf(id), []);
    assert.deepEqual(await readdir(workspace), []);
    const state = await readdir(join(dirname(workspace), "state"));
    assert.deepEqual(
      state.filter((name) => !name.startsWith("etc-")),
      ["holds"],
    );
    assert.deepEqual(await readdir(join(dirname(workspace), "state/holds")), []);
  });

  it("end with whoever holds them, even when that one is killed", async () => {
    const workspace = await fixture.newWorkspace();
    const mark = `312.${process.pid}`;
    const owner = spawn(process.execPath, [caseFile("orphaned"), join(dirname(workspace), "state"), workspace, mark], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      await once(owner.stdout, "data");
      await eventually(async () => ((await running(mark)) === 1 ? true : undefined));
    } finally {
      owner.kill("SIGKILL");
    }
    await once(owner, "exit");
    await eventually(async () => ((await running(mark)) === 0 ? true : undefined));
  });

  it("say that they are gone when something kills them", async () => {
    const workspace = await fixture.newWorkspace();
    const id = `killed-${process.pid}`;
    const sandbox = await fixture.provider.create({ id, workspace });
    const execution = await startScript(sandbox, "sleep 313");
    const hierarchies = findHierarchies();
    await killBubblewrap(workspace);
    assert.equal(typeof (await sandbox.gone), "string");
    assert.equal((await execution.exit).signal, "SIGKILL");
    if (hierarchies.version !== undefined) assert.deepEqual(await groupsOf(id), []);
  });

  it(
    "name the limit on processes when a cgroup keeps it",
    { skip: findHierarchies().pids === undefined && "no cgroup for processes is ours to write" },
    async () => {
      const sandbox = await fixture.provider.create({
        id: `forks-${process.pid}`,
        workspace: await fixture.newWorkspace(),
        limits: { processes: 8 },
      });
      const execution = await sandbox.exec({ argv: ["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 5 & done"] });
      assert.equal((await execution.exit).limit, "processes");
      await execution.close();
      await sandbox.dispose();
    },
  );

  it("start from a toolkit that works, or say what is wrong and leave nothing", async () => {
    const workspace = await fixture.newWorkspace();
    const broken = await newDirectory(tmpdir());
    const id = `broken-${process.pid}`;
    const provider = new BubblewrapProvider({ stateDir: join(broken, "state"), toolkitDir: join(broken, "toolkit") });
    await assert.rejects(provider.create({ id, workspace }), failsWith("failed_precondition"));
    const capability = (report: CapabilityReport): boolean | undefined =>
      report.capabilities.find((one) => one.name === "toolkit")?.available;
    const report = await provider.probe();
    assert.equal(report.usable, false);
    assert.equal(capability(report), false);
    assert.ok(report.capabilities.every((one) => one.available || one.remedy !== undefined));
    await cp(defaultToolkitDir(), join(broken, "toolkit"), { recursive: true });
    await rm(join(broken, "toolkit/toolkit/init"));
    await symlink("/bin/false", join(broken, "toolkit/toolkit/init"));
    await assert.rejects(provider.create({ id, workspace }), failsWith("failed_precondition"));
    assert.deepEqual(await groupsOf(id), []);
    await provider.close();
  });

  async function groupsOf(id: string): Promise<string[]> {
    const { memory, pids, cpu, unified } = findHierarchies();
    const found: string[] = [];
    for (const parent of new Set([memory, pids, cpu, unified])) {
      if (parent !== undefined) found.push(...(await readdir(parent)).filter((name) => name === `guildhall-${id}`));
    }
    return found;
  }

  async function commandLines(): Promise<Array<{ pid: number; command: string[] }>> {
    const found: Array<{ pid: number; command: string[] }> = [];
    for (const pid of await readdir("/proc")) {
      if (!/^\d+$/.test(pid)) continue;
      const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""); // ended meanwhile
      found.push({ pid: Number(pid), command: command.split("\0") });
    }
    return found;
  }

  async function running(mark: string): Promise<number> {
    return (await commandLines()).filter(({ command }) => command[0] === "sleep" && command[1] === mark).length;
  }

  async function killBubblewrap(workspace: string): Promise<void> {
    const found = (await commandLines()).find(({ command }) => command[0]?.endsWith("/bwrap") === true && command.includes(workspace));
    assert.ok(found);
    process.kill(found.pid, "SIGKILL");
  }
});
