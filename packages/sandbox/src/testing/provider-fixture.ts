import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { SandboxProvider } from "@guildhall/core";
import type { SandboxFixture } from "@guildhall/core/testing";

const run = promisify(execFile);

/** A provider with the toolkit built, and workspaces in the temporary directory; for tests. */
export async function providerFixture(make: (stateDir: string) => SandboxProvider): Promise<SandboxFixture> {
  await run(fileURLToPath(new URL("../../native/build.sh", import.meta.url)));
  const base = await mkdtemp(join(tmpdir(), "guildhall-sandbox-"));
  const provider = make(join(base, "state"));
  return {
    provider,
    newWorkspace: () => mkdtemp(join(base, "workspace-")),
    close: async () => {
      await provider.close();
      await rm(base, { recursive: true, force: true });
    },
  };
}
