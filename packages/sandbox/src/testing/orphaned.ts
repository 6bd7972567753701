/** Run by tests, which kill it: a sandbox with a daemon in it, in the directory given, of the Docker engine that is named or of bubblewrap. */
import { runScript } from "@guildhall/core/testing";

import { BubblewrapProvider } from "../bubblewrap/provider.ts";
import { DockerProvider } from "../docker/provider.ts";

const [, , stateDir = "", workspace = "", mark = "", engine] = process.argv;
const provider =
  engine === undefined ? new BubblewrapProvider({ stateDir }) : new DockerProvider({ stateDir, docker: { host: engine, runtime: "runc" } });
const sandbox = await provider.create({ id: `orphaned-${process.pid}`, workspace });
await runScript(sandbox, `(setsid sleep ${mark} </dev/null &>/dev/null &)`, { detached: true });
process.stdout.write("up");
