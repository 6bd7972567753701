import { sandboxContract } from "@guildhall/core/testing";

import { HostProvider } from "./host-provider.ts";
import { providerFixture } from "./testing/provider-fixture.ts";

sandboxContract("host", () => providerFixture(() => new HostProvider()), { isolated: false });
