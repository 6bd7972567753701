import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, lstat, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { promisify } from "node:util";

import { GuildError } from "../errors.ts";
import type { Sandboxes } from "./sandbox-fixture.ts";
import { failsWith, runScript, TOOLS } from "./sandbox-run.ts";

const run = promisify(execFile);

/** Said so, which is as good. */
function unsupported(error: unknown): undefined {
  if (!GuildError.is(error, "unsupported")) throw error;
}

/** The wall: what a sandbox's processes cannot see, change or reach. */
export function sandboxIsolationContract(sandboxes: Sandboxes): void {
  it("shows nothing of the host's environment, processes and homes", async () => {
    const sandbox = sandboxes.shared();
    process.env.GUILDHALL_CONTRACT_SECRET = "do-not-show";
    const script =
      "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; ls /proc | grep -c '^[0-9]'; ls -a /root /home 2>&1; cat /etc/shadow 2>&1";
    const { stdout } = await runScript(await sandboxes.fresh(), script);
    delete process.env.GUILDHALL_CONTRACT_SECRET;
    assert.ok(!stdout.includes("do-not-show"));
    assert.ok(!stdout.includes("root:*") && !stdout.includes("root:$"));
    const { stdout: names } = await runScript(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'");
    assert.ok(!names.includes(process.execPath));
  });

  it("has the programs of a toolchain first, read-only, and nothing of the machine's where it is pure", async () => {
    const directory = await mkdtemp(join(tmpdir(), "guild-toolchain-"));
    await chmod(directory, 0o755);
    await mkdir(join(directory, "bin"));
    await writeFile(join(directory, "bin/id"), `#!${TOOLS}/bash\necho toolchain\n`, { mode: 0o755 });
    const toolchain = { path: ["/opt/given/bin"], mounts: [{ source: directory, at: "/opt/given" }] };
    try {
      const mixed = await sandboxes.fresh({ toolchain: { ...toolchain, pure: false } }).catch(unsupported);
      if (mixed !== undefined) {
        const { stdout } = await runScript(mixed, "id; command -v cat; echo x 2>/dev/null >/opt/given/bin/id || echo kept");
        assert.match(stdout, /^toolchain\n\/.*cat\nkept\n$/);
      }
      const pure = await sandboxes.fresh({ toolchain: { ...toolchain, pure: true } }).catch(unsupported);
      if (pure === undefined) return;
      const alone = await runScript(pure, "id; command -v cat; [ -e /usr/bin ] || echo nothing; /bin/sh -c 'echo shell'");
      assert.match(alone.stdout, /^toolchain\nnothing\nshell\n$/);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it("has no privilege and can get none", async () => {
    const script = [
      "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status",
      "id -u",
      "unshare -U true && echo userns",
      "unshare -m true && echo mountns",
      "mount -t tmpfs none /tmp && echo mounted",
      "chmod u+s /tmp && echo setuid",
      "cp /bin/true suid && chmod 4755 suid && echo setuid",
      "echo x > /proc/sys/kernel/core_pattern && echo core_pattern",
      "echo x > /proc/sysrq-trigger && echo sysrq",
      "mknod /tmp/device b 8 0 && echo device",
      "ls /dev",
      "true",
    ].join("; ");
    const { stdout } = await runScript(sandboxes.shared(), `{ ${script}; } 2>/dev/null`);
    assert.match(stdout, /CapEff:\t0{16}\n/);
    assert.match(stdout, /CapBnd:\t0{16}\n/);
    assert.match(stdout, /NoNewPrivs:\t1\n/);
    assert.match(stdout, /Seccomp:\t2\n/);
    for (const gained of ["userns", "mountns", "mounted", "setuid", "core_pattern", "sysrq", "device"])
      assert.ok(!stdout.split("\n").includes(gained), gained);
    assert.doesNotMatch(stdout, /^(?:sd|vd|nvme|mem|kmsg|kvm|vsock|fuse)/m);
    assert.notEqual(/^\d+$/m.exec(stdout)?.[0], "0");
  });

  it("reaches no network, not even the host's loopback", async () => {
    const server = createServer((socket) => socket.end("host"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const attempt = (to: string): string => `${TOOLS}/socat -T2 - TCP:${to},connect-timeout=2 </dev/null 2>&1; echo code=$?`;
    const own = await runScript(sandboxes.shared(), attempt(`127.0.0.1:${port}`));
    assert.match(own.stdout, /refused[^]*code=1/);
    const far = await runScript(sandboxes.shared(), attempt("192.0.2.1:80"));
    assert.match(far.stdout, /unreachable[^]*code=1/);
    const devices = await runScript(sandboxes.shared(), "cat /proc/net/dev | tail -n +3 | cut -d: -f1");
    assert.equal(devices.stdout.trim(), "lo");
    await new Promise((resolve) => server.close(resolve));
  });

  it("writes nowhere but in the workspace and its private places", async () => {
    const places = [
      "/",
      "/usr",
      "/etc",
      "/bin",
      "/var",
      "/run",
      "/run/guildhall",
      "/run/guildhall/bin",
      "/home",
      "/dev",
      join(sandboxes.shared().workspace, ".."),
    ];
    const script = `for d in ${places.join(" ")}; do touch $d/probe-${process.pid} 2>/dev/null && echo $d; done; touch /tmp/ok ~/ok /dev/shm/ok /var/tmp/ok ok && echo fine`;
    const { stdout } = await runScript(sandboxes.shared(), script);
    const allowed = sandboxes.shared().workspace.split("/").length === 3 ? `${sandboxes.shared().workspace.split("/")[1]}` : "";
    assert.deepEqual(
      stdout.split("\n").filter((line) => line !== "" && line !== join(sandboxes.shared().workspace, "..") && line !== `/${allowed}`),
      ["fine"],
    );
  });

  it("keeps its temporary files from the host and the host's from it", async () => {
    const directory = await mkdtemp(join(tmpdir(), "guildhall-host-"));
    await writeFile(join(directory, "secret"), "host's");
    const done = await runScript(sandboxes.shared(), `ls ${directory} 2>&1; touch /tmp/inside-${process.pid}`);
    assert.match(done.stdout, /No such file/);
    await assert.rejects(lstat(`/tmp/inside-${process.pid}`));
    await rm(directory, { recursive: true });
  });

  it("follows no link out of the sandbox, whoever planted it", async () => {
    const sandbox = sandboxes.shared();
    const outside = await mkdtemp(join(tmpdir(), "guildhall-outside-"));
    await chmod(outside, 0o777);
    await writeFile(join(outside, "file"), "untouched", { mode: 0o666 });
    await symlink(outside, join(sandbox.workspace, "way-out"));
    await symlink("/etc/shadow", join(sandbox.workspace, "shadow"));
    await sandbox.settle?.();
    await assert.rejects(sandbox.files.read("way-out/file"), failsWith("not_found"));
    await assert.rejects(sandbox.files.write("way-out/file", Buffer.from("x")), failsWith("not_found"));
    await assert.rejects(sandbox.files.write("way-out/new", Buffer.from("x"), { parents: true }));
    await assert.rejects(sandbox.files.read("shadow"), failsWith("not_found"));
    assert.equal(await readFile(join(outside, "file"), "utf8"), "untouched");
    await rm(outside, { recursive: true });
  });

  it("leaves what it makes to the workspace's owner", async () => {
    const sandbox = sandboxes.shared();
    await runScript(sandbox, "mkdir owned && touch owned/file");
    await sandbox.files.write("owned/by-init", Buffer.from("x"));
    await sandbox.settle?.();
    const owner = await stat(sandbox.workspace);
    for (const name of ["owned", "owned/file", "owned/by-init"]) {
      const found = await stat(join(sandbox.workspace, name));
      assert.deepEqual([found.uid, found.gid], [owner.uid, owner.gid], name);
    }
  });

  it("shows another directory in the workspace's place, guarded as that one is", async () => {
    const workspace = await sandboxes.fixture().newWorkspace();
    const source = await sandboxes.fixture().newWorkspace();
    await writeFile(join(workspace, "real"), "real");
    await mkdir(join(source, "kept"));
    const sandbox = await sandboxes.fresh({ workspace, source, readOnly: ["kept"] });
    const { stdout } = await runScript(sandbox, "pwd; ls; echo x > made; echo x > kept/made");
    assert.equal(stdout, `${workspace}\nkept\n`);
    await sandbox.settle?.();
    assert.equal(await readFile(join(source, "made"), "utf8"), "x\n");
    await assert.rejects(lstat(join(source, "kept/made")));
    await assert.rejects(lstat(join(workspace, "made")));
  });

  it("makes read-only what it is told to, and keeps it in its place", async () => {
    const workspace = await sandboxes.fixture().newWorkspace();
    const owner = await stat(workspace);
    for (const directory of ["config/kept", ".guildhall"]) await mkdir(join(workspace, directory), { recursive: true });
    await writeFile(join(workspace, "config/kept/file"), "kept");
    await writeFile(join(workspace, ".guildhall/policy.toml"), "policy");
    await run("chown", ["-R", `${owner.uid}:${owner.gid}`, workspace]);
    const sandbox = await sandboxes.fresh({ workspace, readOnly: ["config/kept", "not/there"] });
    const script =
      "echo x > config/kept/file; rm -rf config/kept; mv config other; echo x > .guildhall/policy.toml; mv .guildhall g; echo y > config/free; true";
    await runScript(sandbox, script);
    await sandbox.settle?.();
    assert.equal(await readFile(join(workspace, "config/kept/file"), "utf8"), "kept");
    assert.equal(await readFile(join(workspace, ".guildhall/policy.toml"), "utf8"), "policy");
    assert.equal(await readFile(join(workspace, "config/free"), "utf8"), "y\n");
    await assert.rejects(sandbox.files.write("config/kept/file", Buffer.from("x")), failsWith("permission_denied"));
    await assert.rejects(sandbox.files.rename("config", "other"), failsWith("failed_precondition"));
    const outside = sandboxes.fixture().provider.create({ id: "outside", workspace, readOnly: ["../up"] });
    await assert.rejects(outside, failsWith("invalid_argument"));
  });

  it("leaves the former content of a file when the disk fills up half way", async () => {
    const sandbox = await sandboxes.fresh({ limits: { memoryBytes: 64 * 2 ** 20 } });
    const { files } = sandbox;
    const former = Buffer.alloc(50_000, "f");
    await files.write("/dev/shm/file", former);
    await files.symlink("/dev/shm/file", "/dev/shm/link");
    await assert.rejects(files.write("/dev/shm/file", Buffer.alloc(60_000_000, "n")), failsWith("storage_full"));
    assert.ok(Buffer.from(await files.read("/dev/shm/file")).equals(former));
    const { stdout } = await runScript(
      sandbox,
      "head -c 400M /dev/zero > /dev/shm/rest; truncate -s -200000 /dev/shm/rest; df --output=avail -B1 /dev/shm | tail -1",
    );
    const space = Number(stdout);
    await assert.rejects(files.write("/dev/shm/link", Buffer.alloc(space + 400_000, "n")), failsWith("storage_full"));
    assert.ok(Buffer.from(await files.read("/dev/shm/file")).equals(former));
    await assert.rejects(files.write("/dev/shm/new", Buffer.alloc(space + 400_000, "n")), failsWith("storage_full"));
    await assert.rejects(files.stat("/dev/shm/new"), failsWith("not_found"));
    await files.write("/dev/shm/file", Buffer.from("fits"));
  });
}
