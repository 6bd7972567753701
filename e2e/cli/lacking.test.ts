import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { Home } from "./guild.ts";

const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;

/** Each machine lacks one thing, really or by what bubblewrap says there. */
describe("on a machine that lacks something", { skip: !isRoot && "only root can make such machines" }, () => {
  const homes: Array<{ home: Home; uid: number }> = [];
  const machine = (uid: number, enter: string[]): Home => {
    const home = new Home(undefined, enter);
    execFileSync("chown", [`${uid}:${uid}`, home.directory]);
    homes.push({ home, uid });
    return home;
  };
  after(async () => {
    for (const { home, uid } of homes) {
      await home.guild(["down", "--now"], { uid });
      await home.remove();
    }
  });
  const exec = async (home: Home, uid: number, ...more: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> => {
    const workspace = mkdtempSync(join(home.directory, "workspace-"));
    execFileSync("chown", [`${uid}:${uid}`, workspace]);
    const done = await home.guild(["sandbox", "exec", "--workspace", workspace, ...more, "--", "sh", "-c", "id > made; echo ran"], { uid });
    if (done.code !== 0) assert.deepEqual([done.stdout, readdirSync(workspace)], ["", []], "nothing ran, in whatever sandbox");
    return done;
  };

  it("without user namespaces, says so with the remedy and runs nothing", async () => {
    verifies("F1", "B4");
    const none = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"';
    const home = machine(NOBODY, ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", none, "sh"]);
    const { code, stderr } = await exec(home, NOBODY);
    assert.equal(code, 1);
    assert.match(stderr, /^guild: the sandbox did not start: user-namespaces: .* — sysctl -w user\.max_user_namespaces=\d+\n$/);
  });

  it("without a filter of system calls, says so with the remedy and runs nothing", async () => {
    verifies("F1");
    const place = mkdtempSync("/tmp/guild-lacking-");
    const said = "bwrap: prctl(PR_SET_SECCOMP): Invalid argument";
    const lacking = `test -e ${place}/bwrap || {
cp /usr/bin/bwrap ${place}/bwrap
printf '%s\\n' '#!/bin/sh' 'case "$*" in *--seccomp*) echo "${said}" >&2; exit 1; esac' 'exec ${place}/bwrap "$@"' > ${place}/fake
chmod -R a+rx ${place}; }
mount --bind ${place}/fake /usr/bin/bwrap; exec "$@"`;
    const home = machine(0, ["unshare", "--mount", "sh", "-c", lacking, "sh"]);
    const { code, stderr } = await exec(home, 0);
    execFileSync("rm", ["-r", place]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^guild: the sandbox did not start: seccomp: this kernel cannot filter system calls — use a kernel with CONFIG_SECCOMP_FILTER\n$/,
    );
  });

  it("without cgroups, keeps the limits by other means, or refuses those that need them", async () => {
    verifies("F2");
    const home = machine(NOBODY, []);
    assert.equal((await exec(home, NOBODY)).stdout, "ran\n");
    const workspace = mkdtempSync(join(home.directory, "workspace-"));
    execFileSync("chown", [`${NOBODY}:${NOBODY}`, workspace]);
    const command = ["--limit", "memory_bytes=67108864", "--", "sh", "-c", "head -c 500m /dev/zero | tail -c 400m > /dev/null"];
    const filled = await home.guild(["sandbox", "exec", "--workspace", workspace, ...command], { uid: NOBODY });
    assert.notEqual(filled.code, 0);
    home.write("guild/config/settings.toml", "[sandbox]\ncpus = 1\n");
    const { code, stderr } = await exec(home, NOBODY);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^guild: a share of CPUs cannot be enforced here: .* — .*leave `cpus` out\n$/);
  });

  it("without a Docker engine, says so with the remedy and takes no other sandbox", async () => {
    verifies("F1");
    const home = machine(NOBODY, ["env", "DOCKER_HOST=unix:///no/such/docker.sock"]);
    const { code, stderr } = await exec(home, NOBODY, "--sandbox", "docker");
    assert.equal(code, 1);
    assert.match(stderr, /^guild: .*no Docker engine is running at unix:\/\/\/no\/such\/docker\.sock.* — .*\n$/);
  });
});
