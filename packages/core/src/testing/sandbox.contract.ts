import { after, before, describe } from "node:test";

import type { Sandbox, SandboxSpec } from "../ports/sandbox.ts";
import { sandboxBasicsContract } from "./sandbox-basics.contract.ts";
import { sandboxChangesContract } from "./sandbox-changes.contract.ts";
import { sandboxExecutionContract } from "./sandbox-execution.contract.ts";
import { sandboxFilesContract } from "./sandbox-files.contract.ts";
import type { SandboxFixture } from "./sandbox-fixture.ts";
import { sandboxIsolationContract } from "./sandbox-isolation.contract.ts";
import { sandboxLifeContract } from "./sandbox-life.contract.ts";
import { sandboxLimitsContract } from "./sandbox-limits.contract.ts";

/**
 * Every promise of the Sandbox port. `isolated: false` leaves out what only a wall can promise; `sample` what another suite of the same provider
 * shows of the same init (files, changes). Programs used inside: those of the toolkit and of a POSIX system; `shell: false` leaves out what needs a
 * real shell: only the fake may have none.
 */
export function sandboxContract(
  name: string,
  makeFixture: () => Promise<SandboxFixture>,
  options: { isolated: boolean; sample?: boolean; shell?: false },
): void {
  const suites = [sandboxBasicsContract];
  if (options.shell !== false) suites.push(sandboxExecutionContract, sandboxLimitsContract, sandboxLifeContract);
  if (options.shell !== false && options.sample !== true) suites.push(sandboxFilesContract, sandboxChangesContract);
  if (options.isolated) suites.push(sandboxIsolationContract);
  describe(`${name}: sandbox`, () => {
    for (const suite of suites) {
      describe(suite.name.replace(/^sandbox|Contract$/g, "").toLowerCase(), () => {
        let fixture: SandboxFixture;
        let shared: Sandbox;
        const made: Sandbox[] = [];
        const fresh = async (spec: Partial<SandboxSpec> = {}): Promise<Sandbox> => {
          const workspace = spec.workspace ?? (await fixture.newWorkspace());
          const sandbox = await fixture.provider.create({ id: `contract-${process.pid}-${++count}`, ...spec, workspace });
          made.push(sandbox);
          return sandbox;
        };
        before(async () => {
          fixture = await makeFixture();
          shared = await fresh();
        });
        after(async () => {
          await Promise.all(made.map((sandbox) => sandbox.dispose()));
          await fixture.close();
        });
        suite({ fixture: () => fixture, shared: () => shared, fresh });
      });
    }
  });
}

let count = 0;
