import type { CapabilityReport } from "@guildhall/core";

import { createSandboxProvider, sandboxProviderNames } from "./create-provider.ts";
import type { SandboxProviderOptions } from "./provider-options.ts";

/** What every provider of this package finds on this machine, the default provider first. */
export function sandboxDoctor(options: SandboxProviderOptions): Promise<CapabilityReport[]> {
  return Promise.all(
    sandboxProviderNames.map(async (name) => {
      const provider = createSandboxProvider(name, options);
      const report = await provider.probe();
      await provider.close();
      return report;
    }),
  );
}
