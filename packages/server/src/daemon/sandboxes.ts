import { join } from "node:path";

import { type CapabilityReport, GuildError, type SandboxLimits, type SandboxProvider } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import type { SandboxProviderOptions } from "@guildhall/sandbox";

/** The isolation providers of this daemon, each made when first named. */
export interface Sandboxes {
  /** Empty name: the configured one. Throws `not_found` for a name that no provider has. */
  provider(name: string): Promise<SandboxProvider>;
  check(name: string): void;
  limits(): SandboxLimits;
  close(): Promise<void>;
}

/** Names that `--sandbox` takes. */
const sandboxNames = ["bubblewrap", "docker", "kubernetes", "host"] as const;

/** How long a daemon that has something to do is left to it before sandboxes are prepared, milliseconds. */
const PREPARE_AFTER_MS = 1000;

/** `tell` gets a line for each provider that is made: what it has here, and what it lacks. */
export function createSandboxes(options: { settings(): Settings; dataDir: string; tell?(line: string): void }): Sandboxes {
  const made = new Map<string, Promise<SandboxProvider>>();
  let preparing: NodeJS.Timeout | undefined;
  const check = (name: string): void => {
    if (sandboxNames.some((known) => known === name)) return;
    throw new GuildError("not_found", `there is no sandbox provider ${name}`, { remedy: `take one of ${sandboxNames.join(", ")}` });
  };
  const limits = (): SandboxLimits => {
    const { cpus, memory_mib, processes, file_mib, disk_mib, disk_files } = options.settings().sandbox;
    return {
      ...(cpus === 0 ? {} : { cpus }),
      ...(memory_mib === 0 ? {} : { memoryBytes: memory_mib * 2 ** 20 }),
      ...(processes === 0 ? {} : { processes }),
      ...(disk_mib === 0 ? {} : { diskBytes: disk_mib * 2 ** 20 }),
      ...(disk_files === 0 ? {} : { diskFiles: disk_files }),
      ...(file_mib === 0 ? {} : { fileBytes: file_mib * 2 ** 20 }),
    };
  };
  const prepareLater = (provider: SandboxProvider): void => {
    clearTimeout(preparing);
    // What cannot be prepared is made when it is wanted, and says then what is wrong.
    preparing = setTimeout(() => void provider.prepare?.(limits()).catch(() => undefined), PREPARE_AFTER_MS);
    preparing.unref();
  };
  return {
    check,
    async provider(name) {
      const chosen = name === "" ? options.settings().sandbox.provider : name;
      check(chosen);
      const given = sandboxOptions(options.settings(), options.dataDir);
      const key = `${chosen} ${JSON.stringify(given)}`; // changed settings hold from the next sandbox on
      const known = made.get(key);
      if (known !== undefined) {
        const provider = await known;
        prepareLater(provider);
        return provider;
      }
      const making = import("@guildhall/sandbox").then(({ createSandboxProvider }) => createSandboxProvider(chosen, given));
      made.set(key, making);
      making.catch(() => made.delete(key));
      const { tell } = options;
      // Nobody waits for it: what is wrong is said by whoever wants a sandbox.
      if (tell !== undefined) making.then(async (provider) => tell(capabilityLine(await provider.probe()))).catch(() => undefined);
      const provider = await making;
      prepareLater(provider);
      return provider;
    },
    limits,
    async close() {
      clearTimeout(preparing);
      const providers = await Promise.allSettled(made.values());
      made.clear();
      for (const provider of providers) if (provider.status === "fulfilled") await provider.value.close();
    },
  };
}

/** One line for a log. */
function capabilityLine({ provider, capabilities }: CapabilityReport): string {
  const part = (available: boolean): string =>
    capabilities
      .filter((one) => one.available === available)
      .map(({ name, detail }) => `${name} (${detail})`)
      .join(", ");
  return `sandbox provider ${provider}: has ${part(true) || "nothing"}; lacks ${part(false) || "nothing"}`;
}

/** What providers are made with. */
export function sandboxOptions({ sandbox }: Settings, dataDir: string): SandboxProviderOptions {
  const docker = { host: sandbox.docker_host, image: sandbox.docker_image, runtime: sandbox.docker_runtime };
  const kubernetes = {
    api: sandbox.kubernetes_api,
    credentials: sandbox.kubernetes_credentials,
    namespace: sandbox.kubernetes_namespace,
    image: sandbox.kubernetes_image,
    toolkitImage: sandbox.kubernetes_toolkit_image,
    volume: sandbox.kubernetes_volume,
    owner: sandbox.kubernetes_owner,
  };
  return { stateDir: join(dataDir, "sandboxes"), docker, kubernetes, warm: sandbox.warm };
}
