/** Run by `places.test.ts` as an ordinary user: a sandbox in the directory given, its findings as JSON. */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";

import { runScript } from "@guildhall/core/testing";

import { BubblewrapProvider } from "../bubblewrap/provider.ts";

const home = process.argv[2] ?? "";
const workspace = join(home, "project");
await mkdir(workspace);
const provider = new BubblewrapProvider({ stateDir: join(home, "state") });
const report = await provider.probe();
const sandbox = await provider.create({ id: `ordinary-${process.pid}`, workspace, leaseMs: 10_000 });
const script =
  "git init -q && echo x > file && git add . && git commit -qm first && git log --format=%s; id -un; cat /etc/shadow; ls /root; grep CapEff /proc/self/status";
const done = await runScript(sandbox, script);
const owner = (await stat(join(workspace, "file"))).uid;
await sandbox.dispose();
await provider.close();
process.stdout.write(JSON.stringify({ usable: report.usable, stdout: done.stdout, owner }));
