import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";

import { runScript, sandboxContract, type SandboxFixture } from "@guildhall/core/testing";

import { startDockerEngine, type TestEngine } from "../testing/docker-engine.ts";
import { providerFixture } from "../testing/provider-fixture.ts";
import { DockerProvider } from "./provider.ts";

const asRoot = process.geteuid?.() === 0;
/** Where the ids of its containers begin outside. */
const FIRST_ID = 500_000;

describe("an engine that maps users", { skip: !asRoot && "only root can start a Docker engine" }, () => {
  let engine: TestEngine;
  const own = mkdtempSync(join(tmpdir(), "guildhall-runtime-"));
  before(async () => {
    // gVisor is in no Debian package: the usual runtime under its name, which writes down that it was asked, shows that it is chosen and used, and nothing of gVisor itself.
    writeFileSync(join(own, "runsc"), `#!/bin/sh\necho "$@" >> ${own}/asked\nexec /usr/sbin/runc "$@"\n`, { mode: 0o755 });
    engine = await startDockerEngine({ remapTo: FIRST_ID, args: ["--add-runtime", `runsc=${own}/runsc`] });
  });
  after(async () => {
    await engine.close();
    rmSync(own, { recursive: true });
  });
  const asked = (): number => (existsSync(join(own, "asked")) ? readFileSync(join(own, "asked"), "utf8").split(" create ").length - 1 : 0);
  const fixture = (runtime: string): Promise<SandboxFixture> =>
    providerFixture((stateDir) => new DockerProvider({ stateDir, docker: { host: engine.host, runtime } }));

  if (process.env["GUILD_TEST_FULL"] !== undefined) sandboxContract("docker, users mapped", () => fixture("runc"), { isolated: true });

  for (const [runtime, chosen] of [
    ["runc", "runc"],
    ["", "runsc"],
  ] as const) {
    it(`runs sandboxes on the workspace and through the proxy, by the runtime ${chosen}`, async () => {
      const given = await fixture(runtime);
      const workspace = await given.newWorkspace();
      await writeFile(join(workspace, "private"), "read me\n", { mode: 0o600 });
      const directory = join(dirname(workspace), "way-out");
      await mkdir(directory);
      for (const name of ["ca.pem", "bundle.pem"]) await writeFile(join(directory, name), "none\n");
      const proxy = createServer((message, response) => response.end(`asked for ${message.url}\n`));
      proxy.listen({ path: join(directory, "proxy"), readableAll: true, writableAll: true });
      await once(proxy, "listening");
      try {
        const report = await given.provider.probe();
        assert.equal(report.usable, true);
        const detail = (name: string): string | undefined => report.capabilities.find((one) => one.name === name)?.detail;
        assert.equal(detail("docker-runtime"), chosen);
        assert.equal(detail("user-namespaces"), "users of containers are nobody outside");
        const sandbox = await given.provider.create({ id: `mapped-${process.pid}-${chosen}`, workspace, wayOut: { directory } });
        const script =
          'cat private; echo made > made; stat -c %U private made; read inner outer count < /proc/self/uid_map; echo "$inner $outer"; ' +
          "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'GET http://api.example.com/x HTTP/1.0\\r\\n\\r\\n' >&3; tail -n 1 <&3";
        const done = await runScript(sandbox, script);
        assert.equal(done.stdout, `read me\nagent\nagent\n0 ${FIRST_ID}\nasked for http://api.example.com/x\n`, done.stderr);
        assert.equal(asked(), chosen === "runsc" ? 1 : 0, "containers that the runtime of that name was asked for");
        assert.equal((await stat(join(workspace, "made"))).uid, 0, "it is the workspace owner's outside");
        await sandbox.dispose();
      } finally {
        proxy.close();
        await given.close();
      }
    });
  }
});
