import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

import {
  GuildError,
  type CapabilityReport,
  type ExecSpec,
  type Sandbox,
  type SandboxLimits,
  type SandboxProvider,
  type SandboxSpec,
  type SandboxToolchain,
} from "@guildhall/core";

import { cgroupCapabilities, WITHOUT_MEMORY } from "./cgroup/capabilities.ts";
import { SandboxGroup } from "./cgroup/group.ts";
import { findHierarchies, type Hierarchies } from "./cgroup/hierarchies.ts";
import { diskOptions, withDefaults } from "./default-limits.ts";
import { CONNECTION_FD, startInit } from "./init-process.ts";
import { InitSandbox } from "./init-sandbox.ts";
import { isAlive, ownerMark } from "./owner-mark.ts";
import { checkedWorkspace, refuseImage, refuseSource, searchPath } from "./sandbox-paths.ts";
import { findToolkit, TOOLKIT_MOUNT, TOOLKIT_REMEDY } from "./toolkit.ts";

/**
 * No isolation at all: commands run as the caller, with the caller's files and network. The same init starts, limits and kills
 * them, so that everything but the wall is as elsewhere. Only for those who ask for it by name.
 */
export class HostProvider implements SandboxProvider {
  readonly name = "host";
  readonly #toolkitDir: string | undefined;
  readonly #sandboxes = new Set<Sandbox>();
  #swept: Promise<void> | undefined;

  constructor(options: { toolkitDir?: string } = {}) {
    this.#toolkitDir = options.toolkitDir;
  }

  async probe(): Promise<CapabilityReport> {
    const toolkit = await Promise.resolve()
      .then(() => findToolkit(this.#toolkitDir))
      .then(() => undefined, GuildError.from);
    return {
      provider: this.name,
      usable: toolkit === undefined,
      capabilities: [
        {
          name: "toolkit",
          available: toolkit === undefined,
          detail: toolkit?.line ?? "built",
          ...(toolkit === undefined ? {} : { remedy: TOOLKIT_REMEDY }),
        },
        ...cgroupCapabilities(findHierarchies(), { memory: WITHOUT_MEMORY, pids: "a limit on `processes` is refused" }),
        {
          name: "isolation",
          available: false,
          detail: "commands run as you, with your files and your network",
          remedy: "use --sandbox bubblewrap",
        },
      ],
    };
  }

  async create(spec: SandboxSpec): Promise<Sandbox> {
    const toolkit = findToolkit(this.#toolkitDir);
    refuseSource(spec, this.name);
    const workspace = await checkedWorkspace(spec);
    const limits = withDefaults(spec.limits);
    const hierarchies = findHierarchies();
    refuseUnenforceable(spec.limits ?? {}, hierarchies);
    refuseMounts(spec.toolchain);
    await (this.#swept ??= sweepHomes());
    const home = await mkdtemp(join(tmpdir(), homesOf(ownerMark())));
    let group: SandboxGroup | undefined;
    const free = async (): Promise<void> => {
      await group?.remove();
      await rm(home, { recursive: true, force: true });
    };
    try {
      const own = (group = SandboxGroup.create(hierarchies, spec.id, limits));
      const init = await startInit(toolkit.launch, [
        ...own.directories.flatMap((directory) => ["--cgroup", directory]),
        "--",
        toolkit.init,
        "--connection",
        String(CONNECTION_FD),
        "--workspace",
        workspace.path,
        ...(hierarchies.memory === undefined
          ? ["--memory-bytes", String(limits.memoryBytes), "--data-bytes", String(limits.memoryBytes)]
          : []),
        ...diskOptions(limits),
        ...(spec.leaseMs === undefined ? [] : ["--lease-ms", String(spec.leaseMs)]),
      ]);
      const sandbox = new InitSandbox({
        id: spec.id,
        provider: this.name,
        connection: init.connection,
        workspace: workspace.path,
        env: {
          HOME: home,
          LANG: "C.UTF-8",
          PATH: searchPath(spec.toolchain, `${toolkit.directory}/bin`),
          SHELL: `${toolkit.directory}/bin/bash`,
          USER: userInfo().username,
          ...spec.env,
        },
        limits,
        leaseMs: spec.leaseMs,
        stop: init.stop,
        free: async () => {
          this.#sandboxes.delete(sandbox);
          await free();
        },
        measure: (seen) => own.measure(seen),
        explain: (status) => own.explain(status),
        prepare: (exec) => atToolkit(exec, toolkit.directory),
      });
      this.#sandboxes.add(sandbox);
      return sandbox;
    } catch (error) {
      await free();
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sandboxes].map((sandbox) => sandbox.dispose()));
  }
}

/** Names of one process's homes: its mark, in what a path can hold everywhere. */
function homesOf(mark: string): string {
  return `guildhall-home-${mark.replace("pid:[", "").replace("]", "").replaceAll("/", "-")}-`;
}

/** Removes homes that processes which were killed have left. */
async function sweepHomes(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const [, space, pid, start] = /^guildhall-home-(\d+)-(\d+)-(\d+)-/.exec(name) ?? [];
    if (space === undefined || isAlive(`pid:[${space}]/${pid}/${start}`) !== false) continue;
    // It may be another user's: then it is not ours to remove.
    await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Without cgroups only a user namespace could tell this sandbox's processes from the caller's others. */
function refuseUnenforceable(limits: SandboxLimits, hierarchies: Hierarchies): void {
  for (const [name, controller] of [
    ["cpus", "cpu"],
    ["processes", "pids"],
  ] as const) {
    if (limits[name] === undefined || hierarchies[controller] !== undefined) continue;
    throw new GuildError("unsupported", `the host sandbox cannot limit ${name} here: no cgroup for it is ours to write`, {
      remedy: "use --sandbox bubblewrap, or run as root",
    });
  }
}

/** Nothing is mounted here: what stands elsewhere inside, or hides the machine's programs, cannot be had. */
function refuseMounts(toolchain: SandboxToolchain | undefined): void {
  refuseImage(toolchain);
  const moved = toolchain?.mounts.find(({ source, at }) => source !== at);
  if (moved === undefined && toolchain?.pure !== true) return;
  throw new GuildError("unsupported", "the host sandbox cannot show an environment that has to be mounted", {
    subject: moved?.source ?? "pure",
    remedy: "use --sandbox bubblewrap",
  });
}

/** Nothing is mounted here: a program of the toolkit's usual place is taken from where the toolkit really is. */
function atToolkit(spec: ExecSpec, directory: string): ExecSpec {
  const [program, ...rest] = spec.argv;
  if (!program.startsWith(`${TOOLKIT_MOUNT}/`)) return spec;
  return { ...spec, argv: [directory + program.slice(TOOLKIT_MOUNT.length), ...rest] };
}
