import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";

import { sandboxContract } from "@guildhall/core/testing";

import { BubblewrapProvider } from "../bubblewrap/provider.ts";
import { mountOverlay } from "../testing/overlay.ts";
import { providerFixture } from "../testing/provider-fixture.ts";

// Only root needs copies: everybody else's sandboxes run under their own id.
if (process.geteuid?.() === 0) {
  sandboxContract(
    "bubblewrap on a copy",
    async () => {
      const overlay = await mountOverlay();
      const fixture = await providerFixture((stateDir) => new BubblewrapProvider({ stateDir }));
      return {
        provider: fixture.provider,
        newWorkspace: () => mkdtemp(join(overlay.directory, "workspace-")),
        close: async () => {
          await fixture.close();
          await overlay.close();
        },
      };
    },
    { isolated: true },
  );
}
