import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { eventually, failsWith, runScript, sandboxContract, type SandboxFixture } from "@guildhall/core/testing";

import type { DockerOptions } from "../provider-options.ts";
import { startDockerEngine, type TestEngine } from "../testing/docker-engine.ts";
import { mountOverlay } from "../testing/overlay.ts";
import { providerFixture } from "../testing/provider-fixture.ts";
import { DockerEngine } from "./engine.ts";
import { sandboxLabels } from "./leftovers.ts";
import { DockerProvider } from "./provider.ts";

const run = promisify(execFile);
const asRoot = process.geteuid?.() === 0;
const caseFile = (name: string): string => fileURLToPath(new URL(`../testing/${name}.ts`, import.meta.url));
/** Somebody whom the engine admits. */
const USER = 12347;

describe("with a Docker engine of its own", { skip: !asRoot && "only root can start a Docker engine" }, () => {
  let engine: TestEngine;
  before(async () => {
    engine = await startDockerEngine({ args: ["--group", String(USER), "--add-runtime", "runsc=/no/such/runtime"] });
  });
  after(() => engine.close());

  const fixture = (docker: DockerOptions = { runtime: "runc" }): Promise<SandboxFixture> =>
    providerFixture((stateDir) => new DockerProvider({ stateDir, docker: { host: engine.host, ...docker } }));
  sandboxContract("docker", fixture, { isolated: true });

  describe("docker sandboxes", () => {
    let own: SandboxFixture;
    let client: DockerEngine;
    const directories: string[] = [];
    before(async () => {
      own = await fixture();
      client = new DockerEngine(engine.host);
    });
    after(async () => {
      await own.close();
      for (const directory of directories) await rm(directory, { recursive: true, force: true });
    });
    const newDirectory = async (parent: string): Promise<string> => {
      const directory = await mkdtemp(join(parent, "guildhall-docker-"));
      directories.push(directory);
      return directory;
    };
    const containers = async (): Promise<Array<{ Id: string; Names: string[] }>> =>
      (await client.get("/containers/json?all=1")) as Array<{ Id: string; Names: string[] }>;

    it("work for whoever owns the workspace, wherever it is", async () => {
      for (const [parent, uid] of [
        ["/root", 0],
        ["/home", 12345],
        [tmpdir(), 60789],
      ] as const) {
        const workspace = await newDirectory(parent);
        await writeFile(join(workspace, "private"), "read me", { mode: 0o600 });
        for (const path of [join(workspace, "private"), workspace]) await chown(path, uid, uid);
        const sandbox = await own.provider.create({ id: `place-${process.pid}-${uid}`, workspace });
        const done = await runScript(sandbox, "cat private && mkdir d && echo x > d/made && stat -c %U . private d/made");
        assert.equal(done.stdout, "read meagent\nagent\nagent\n", `${workspace}: ${done.stderr}`);
        assert.equal((await stat(join(workspace, "d/made"))).uid, uid);
        await sandbox.dispose();
      }
    });

    it("work on a copy where files cannot be mounted as another user's", async () => {
      const overlay = await mountOverlay();
      try {
        await writeFile(join(overlay.directory, "before"), "there");
        const sandbox = await own.provider.create({ id: `copy-${process.pid}`, workspace: overlay.directory });
        assert.equal((await runScript(sandbox, "cat before; echo new > made; id -u")).stdout, "there60789\n");
        await sandbox.dispose();
        assert.equal(await readFile(join(overlay.directory, "made"), "utf8"), "new\n");
        assert.equal((await stat(join(overlay.directory, "made"))).uid, 0);
      } finally {
        await overlay.close();
      }
    });

    it("protect a repository's configuration and hooks", async () => {
      const workspace = await own.newWorkspace();
      await run("git", ["init", "-q", workspace]);
      const sandbox = await own.provider.create({ id: `git-${process.pid}`, workspace });
      const script =
        "git config core.fsmonitor evil; echo x > .git/hooks/post-checkout; mv .git g; echo f > f && git add f && git commit -qm first && git log --format=%s";
      assert.equal((await runScript(sandbox, script)).stdout, "first\n");
      await sandbox.dispose();
      assert.doesNotMatch(await readFile(join(workspace, ".git/config"), "utf8"), /evil/);
      assert.ok(!(await readdir(join(workspace, ".git/hooks"))).includes("post-checkout"));
    });

    it("are the same for an ordinary user whom the engine admits", async () => {
      const home = await newDirectory(tmpdir());
      await chown(home, USER, USER);
      const { stdout } = await run(process.execPath, [caseFile("ordinary-user"), home, engine.host], {
        uid: USER,
        gid: USER,
        env: { HOME: home },
      });
      assert.deepEqual(JSON.parse(stdout), { usable: true, stdout: "first\nagent\nCapEff:\t0000000000000000\n", owner: USER });
    });

    it("leave no container, directory or process behind", async () => {
      const workspace = await own.newWorkspace();
      const sandbox = await own.provider.create({ id: `traces-${process.pid}`, workspace });
      assert.ok((await containers()).some(({ Names: names }) => names.includes(`/guildhall-traces-${process.pid}`)));
      await sandbox.dispose();
      assert.ok(!(await containers()).some(({ Names: names }) => names.includes(`/guildhall-traces-${process.pid}`)));
      assert.deepEqual(await readdir(workspace), []);
      assert.deepEqual(await readdir(join(dirname(workspace), "state/docker")), []);
    });

    it("end with whoever holds them, even when that one is killed", async () => {
      const workspace = await own.newWorkspace();
      const before = (await containers()).length;
      const owner = spawn(
        process.execPath,
        [caseFile("orphaned"), join(dirname(workspace), "state-of-another"), workspace, "314", engine.host],
        { stdio: ["ignore", "pipe", "inherit"] },
      );
      try {
        await once(owner.stdout, "data");
        assert.equal((await containers()).length, before + 1);
      } finally {
        owner.kill("SIGKILL");
      }
      await once(owner, "exit");
      await eventually(async () => ((await containers()).length === before ? true : undefined), 30_000);
    });

    it("remove what a killed owner left unstarted", async () => {
      const stateDir = await newDirectory(tmpdir());
      const first = new DockerProvider({ stateDir, docker: { host: engine.host, runtime: "runc" } });
      const workspace = await own.newWorkspace();
      await (await first.create({ id: `first-${process.pid}`, workspace })).dispose();
      const [image] = (await client.get("/images/json")) as Array<{ RepoTags: string[] }>;
      const labels = sandboxLabels("left", join(stateDir, "docker"));
      for (const [name, owner] of [
        ["dead", "gone"],
        ["alive", undefined],
      ] as const) {
        const held =
          owner === undefined ? labels : { ...labels, "app.guildhall.owner": labels["app.guildhall.owner"]?.replace(/\d+$/, "1") };
        await client.post(`/containers/create?name=${name}`, { body: { Image: image?.RepoTags[0], Cmd: ["x"], Labels: held } });
      }
      const second = new DockerProvider({ stateDir, docker: { host: engine.host, runtime: "runc" } });
      await (await second.create({ id: `second-${process.pid}`, workspace })).dispose();
      const names = (await containers()).flatMap((one) => one.Names);
      assert.deepEqual([names.includes("/dead"), names.includes("/alive")], [false, true]);
      await client.delete("/containers/alive");
    });

    it("take gVisor where the engine has it, and say what is missing when it does not start", async () => {
      const other = await fixture({});
      const report = await other.provider.probe();
      assert.equal(report.capabilities.find(({ name }) => name === "docker-runtime")?.detail, "runsc");
      await assert.rejects(other.provider.create({ id: `gvisor-${process.pid}`, workspace: await other.newWorkspace() }), (error) => {
        return failsWith("failed_precondition")(error) && /runsc|no such file/i.test((error as Error).message);
      });
      await other.close();
      assert.ok(!(await containers()).some(({ Names: names }) => names.includes(`/guildhall-gvisor-${process.pid}`)));
    });

    it("refuse an image that the engine does not have, and a runtime", async () => {
      const image = await fixture({ image: "no/such:image", runtime: "runc" });
      await assert.rejects(image.provider.create({ id: "none", workspace: await image.newWorkspace() }), failsWith("not_found"));
      await image.close();
      const runtime = await fixture({ runtime: "none" });
      assert.equal((await runtime.provider.probe()).usable, false);
      await assert.rejects(runtime.provider.create({ id: "none", workspace: await runtime.newWorkspace() }), (error) => {
        // One line that names it, with the remedy; nothing weaker is started in its place.
        return failsWith("failed_precondition")(error) && /^[^\n]*docker-runtime: [^\n]*none[^\n]*$/.test((error as Error).message);
      });
      assert.ok(!(await containers()).some(({ Names: names }) => names.includes("/guildhall-none")));
      await runtime.close();
    });

    it("have the system of an image that is named, and keep their own tools", async () => {
      const root = await newDirectory(tmpdir());
      await mkdir(join(root, "bin"));
      await mkdir(join(root, "etc"));
      await run("cp", ["/usr/bin/bash-static", join(root, "bin/sh")]);
      await writeFile(join(root, "etc/image"), "the image's\n");
      await run("tar", ["-C", root, "-cf", join(root, "..", "image.tar"), "."]);
      await client.post("/images/create?fromSrc=-&repo=somebody/image&tag=1&changes=ENV%20SAID=by-image", {
        body: await readFile(join(root, "..", "image.tar")),
      });
      await rm(join(root, "..", "image.tar"));
      const named = await fixture({ image: "somebody/image:1", runtime: "runc" });
      const sandbox = await named.provider.create({ id: `named-${process.pid}`, workspace: await named.newWorkspace() });
      const done = await runScript(
        sandbox,
        'read line < /etc/image; echo "$line $SAID"; git --version > version; rg -c git version; test -e /usr/bin/env || echo none',
      );
      assert.equal(done.stdout, "the image's by-image\n1\nnone\n", done.stderr);
      await named.close();
    });
  });
});

describe("docker sandboxes without an engine", () => {
  it("say so in one line, with the remedy", async () => {
    const provider = new DockerProvider({ stateDir: "/nonexistent", docker: { host: "unix:///no/such/docker.sock" } });
    const report = await provider.probe();
    assert.equal(report.usable, false);
    const lacking = report.capabilities.find(({ name }) => name === "docker-engine");
    assert.match(lacking?.detail ?? "", /no Docker engine is running at unix:\/\/\/no\/such\/docker.sock/);
    assert.match(lacking?.remedy ?? "", /systemctl start docker/);
    await assert.rejects(provider.create({ id: "none", workspace: tmpdir() }), failsWith("failed_precondition"));
  });

  it("refuse engines on other machines", async () => {
    const provider = new DockerProvider({ stateDir: "/nonexistent", docker: { host: "tcp://192.0.2.1:2376" } });
    assert.equal((await provider.probe()).usable, false);
    await assert.rejects(provider.create({ id: "none", workspace: tmpdir() }), failsWith("unsupported"));
  });
});
