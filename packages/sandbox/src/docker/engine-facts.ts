import { GuildError } from "@guildhall/core";

import type { DockerEngine } from "./engine.ts";

/** gVisor's runtime: a kernel of its own for each container. */
export const GVISOR = "runsc";

/** What matters of an engine. */
export interface EngineFacts {
  version: string;
  runtimes: string[];
  defaultRuntime: string;
  memoryLimit: boolean;
  swapLimit: boolean;
  pidsLimit: boolean;
  cpuLimit: boolean;
  /** Users of containers are others outside: the whole engine has been told to map them. */
  userNamespaces: boolean;
  /** Run by an ordinary user in a user namespace. */
  rootless: boolean;
  seccomp: boolean;
}

/** Asks the engine. Throws as the engine does when there is none. */
export async function engineFacts(engine: DockerEngine): Promise<EngineFacts> {
  const info = (await engine.get("/info")) as {
    ServerVersion?: string;
    OSType?: string;
    Runtimes?: Record<string, unknown>;
    DefaultRuntime?: string;
    MemoryLimit?: boolean;
    SwapLimit?: boolean;
    PidsLimit?: boolean;
    CpuCfsQuota?: boolean;
    SecurityOptions?: string[] | null;
  };
  if (info?.OSType !== "linux") {
    throw new GuildError("unsupported", "the Docker engine does not run Linux containers", { subject: engine.host });
  }
  const security = (info.SecurityOptions ?? []).map((one) => /name=([^,]+)/.exec(one)?.[1] ?? one);
  return {
    version: info.ServerVersion ?? "unknown",
    runtimes: Object.keys(info.Runtimes ?? {}),
    defaultRuntime: info.DefaultRuntime ?? "",
    memoryLimit: info.MemoryLimit === true,
    swapLimit: info.SwapLimit === true,
    pidsLimit: info.PidsLimit === true,
    cpuLimit: info.CpuCfsQuota === true,
    userNamespaces: security.includes("userns"),
    rootless: security.includes("rootless"),
    seccomp: security.includes("seccomp"),
  };
}

/** The runtime to ask for; empty: the engine's default. Throws `unsupported` for one that the engine does not have. */
export function chosenRuntime(facts: EngineFacts, wanted = ""): string {
  if (wanted === "") return facts.runtimes.includes(GVISOR) ? GVISOR : "";
  if (facts.runtimes.includes(wanted)) return wanted;
  throw new GuildError("unsupported", `the Docker engine has no runtime ${wanted}`, {
    subject: wanted,
    remedy: `set sandbox.docker_runtime to one of ${facts.runtimes.toSorted().join(", ")}, or leave it empty`,
  });
}
