/** Holds a sandbox, or nothing, in which a process with a mark runs, and is suspended by whoever started it. */
import { spawn } from "node:child_process";

import { startScript } from "@guildhall/core/testing";
import { createSandboxProvider, type SandboxProviderOptions } from "@guildhall/sandbox";

const given = JSON.parse(process.argv[2] ?? "{}") as {
  provider: string;
  workspace: string;
  mark: string;
  stateDir: string;
  docker: SandboxProviderOptions["docker"];
};
if (given.provider === "none") spawn("sleep", [given.mark], { stdio: "ignore" });
else {
  const { stateDir, docker, workspace, mark } = given;
  const provider = createSandboxProvider(given.provider, { stateDir, ...(docker === undefined ? {} : { docker }) });
  const sandbox = await provider.create({ id: `lease-${mark}`, workspace, leaseMs: 1500 });
  await startScript(sandbox, `(setsid sleep ${mark} < /dev/null &> /dev/null &); sleep ${mark}`);
}
process.stdout.write("up\n");
setInterval(() => undefined, 60_000);
