import { GuildError, type SandboxProvider } from "@guildhall/core";

import { BubblewrapProvider } from "./bubblewrap/provider.ts";
import { DockerProvider } from "./docker/provider.ts";
import { HostProvider } from "./host-provider.ts";
import { KubernetesProvider } from "./kubernetes/provider.ts";
import type { SandboxProviderOptions } from "./provider-options.ts";

/** Names that `createSandboxProvider` takes, the default first. */
export const sandboxProviderNames = ["bubblewrap", "docker", "kubernetes", "host"] as const;

/** Makes the provider called `name`. Nothing is probed or started yet. Throws `invalid_argument`. */
export function createSandboxProvider(name: string, options: SandboxProviderOptions): SandboxProvider {
  if (name === "bubblewrap") return new BubblewrapProvider(options);
  if (name === "docker") return new DockerProvider(options);
  if (name === "kubernetes") return new KubernetesProvider(options);
  if (name === "host") return new HostProvider(options);
  throw new GuildError("invalid_argument", `there is no sandbox provider called ${name}`, {
    subject: name,
    remedy: `use one of ${sandboxProviderNames.join(", ")}`,
  });
}
