import { sandboxContract } from "@guildhall/core/testing";

import { providerFixture } from "../testing/provider-fixture.ts";
import { BubblewrapProvider } from "./provider.ts";

sandboxContract("bubblewrap", () => providerFixture((stateDir) => new BubblewrapProvider({ stateDir })), { isolated: true });
