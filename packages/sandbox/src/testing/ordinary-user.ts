/** Run by tests as an ordinary user: a sandbox in the directory given, of the Docker engine that is named or of bubblewrap; its findings as JSON. */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";

import { runScript } from "@guildhall/core/testing";

import { BubblewrapProvider } from "../bubblewrap/provider.ts";
import { DockerProvider } from "../docker/provider.ts";

const [, , home = "", engine] = process.argv;
const workspace = join(home, "project");
await mkdir(workspace);
const stateDir = join(home, "state");
const provider =
  engine === undefined ? new BubblewrapProvider({ stateDir }) : new DockerProvider({ stateDir, docker: { host: engine, runtime: "runc" } });
const report = await provider.probe();
const sandbox = await provider.create({ id: `ordinary-${process.pid}`, workspace, leaseMs: 10_000 });
const script =
  "git init -q && echo x > file && git add . && git commit -qm first && git log --format=%s; id -un; cat /etc/shadow; ls /root; grep CapEff /proc/self/status";
const done = await runScript(sandbox, script);
const owner = (await stat(join(workspace, "file"))).uid;
await sandbox.dispose();
await provider.close();
process.stdout.write(JSON.stringify({ usable: report.usable, stdout: done.stdout, owner }));
