import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe } from "node:test";

import type { SandboxProvider } from "@guildhall/core";
import { createSandboxProvider, sandboxProviderNames } from "@guildhall/sandbox";

/** A suite for each sandbox provider; one that this machine cannot have is skipped with its reason. */
export async function describeInProviders(name: string, define: (provider: SandboxProvider) => void): Promise<void> {
  const stateDir = await mkdtemp(join(tmpdir(), "guildhall-state-"));
  // Docker's engine is not there by itself: its own suites start one.
  const providers = sandboxProviderNames
    .filter((one) => one !== "docker" && one !== "kubernetes")
    .map((one) => createSandboxProvider(one, { stateDir: join(stateDir, one) }));
  after(async () => {
    for (const provider of providers) await provider.close();
    await rm(stateDir, { recursive: true, force: true });
  });
  for (const provider of providers) {
    const { usable, capabilities } = await provider.probe();
    const lacking = capabilities.filter((one) => !one.available).map((one) => `${one.name}: ${one.detail}`);
    describe(`${name} in ${provider.name}`, { skip: usable ? false : lacking.join("; "), concurrency: 2 }, () => define(provider));
  }
}
