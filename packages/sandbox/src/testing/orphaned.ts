/** Run by `places.test.ts`, which kills it: a sandbox with a daemon in it, in the directory given. */
import { runScript } from "@guildhall/core/testing";

import { BubblewrapProvider } from "../bubblewrap/provider.ts";

const [, , stateDir = "", workspace = "", mark = ""] = process.argv;
const provider = new BubblewrapProvider({ stateDir });
const sandbox = await provider.create({ id: `orphaned-${process.pid}`, workspace });
await runScript(sandbox, `(setsid sleep ${mark} </dev/null &>/dev/null &)`, { detached: true });
process.stdout.write("up");
