import { GuildError, type CapabilityReport } from "@guildhall/core";

import { DISK_COUNT } from "../default-limits.ts";
import type { DockerOptions } from "../provider-options.ts";
import { findToolkit, TOOLKIT_REMEDY } from "../toolkit.ts";
import { chosenRuntime, engineFacts, type EngineFacts, GVISOR } from "./engine-facts.ts";
import { DockerEngine } from "./engine.ts";

type Capability = CapabilityReport["capabilities"][number];

/** What docker sandboxes need and have here. */
export async function probeDocker(options: DockerOptions, toolkitDir: string | undefined): Promise<CapabilityReport> {
  const toolkit = await attempt("toolkit", TOOLKIT_REMEDY, async () => findToolkit(toolkitDir).directory);
  let facts: EngineFacts | undefined;
  const engine = await attempt("docker-engine", "start it, or use --sandbox bubblewrap", async () => {
    const client = new DockerEngine(options.host);
    facts = await engineFacts(client);
    return `version ${facts.version} at ${client.host}`;
  });
  if (facts === undefined) return { provider: "docker", usable: false, capabilities: [toolkit, engine] };
  const known = facts;
  const runtime = await attempt("docker-runtime", "", async () => chosenRuntime(known, options.runtime) || known.defaultRuntime);
  const needed = [toolkit, engine, runtime, ...limits(known)];
  if (known.rootless || (known.userNamespaces && process.geteuid?.() !== 0)) needed.push(remapped(known));
  return {
    provider: "docker",
    usable: needed.every((one) => one.available),
    capabilities: [
      ...needed,
      {
        name: "cgroup-cpu",
        available: known.cpuLimit,
        detail: known.cpuLimit ? "by the engine" : "the engine cannot: a limit on `cpus` is refused",
        ...(known.cpuLimit ? {} : { remedy: "use a kernel with CONFIG_CFS_BANDWIDTH" }),
      },
      ...wall(known),
      DISK_COUNT,
    ],
  };
}

/** What makes the wall thicker where the engine has it. */
function wall(facts: EngineFacts): Capability[] {
  const gvisor = facts.runtimes.includes(GVISOR);
  return [
    {
      name: "user-namespaces",
      available: facts.userNamespaces,
      detail: facts.userNamespaces ? "users of containers are nobody outside" : "containers run as an unprivileged user of this machine",
      ...(facts.userNamespaces ? {} : { remedy: "start the engine with --userns-remap=default, and Guildhall as root" }),
    },
    {
      name: "gvisor",
      available: gvisor,
      detail: gvisor ? "the engine has runsc" : "the engine has no runsc: containers share this machine's kernel",
      ...(gvisor ? {} : { remedy: "install gVisor and add it to the engine's runtimes with --host-uds=open" }),
    },
  ];
}

function limits(facts: EngineFacts): Capability[] {
  return [["memory", facts.memoryLimit] as const, ["pids", facts.pidsLimit] as const].map(([name, available]) => ({
    name: `cgroup-${name}`,
    available,
    detail: available ? "by the engine" : "the engine cannot limit it",
    ...(available ? {} : { remedy: `enable the ${name} cgroup for the engine` }),
  }));
}

/** Workspaces are its callers' own, which nobody in such a container can be. */
function remapped(facts: EngineFacts): Capability {
  return {
    name: "workspace-access",
    available: false,
    detail: `the engine ${facts.rootless ? "is rootless" : "maps users"}: nobody in a container is you`,
    remedy: facts.rootless ? "use --sandbox bubblewrap" : "run Guildhall as root, or use --sandbox bubblewrap",
  };
}

async function attempt(name: string, remedy: string, look: () => Promise<string>): Promise<Capability> {
  try {
    return { name, available: true, detail: await look() };
  } catch (error) {
    const own = GuildError.from(error);
    return { name, available: false, detail: own.message, remedy: own.remedy ?? remedy };
  }
}
