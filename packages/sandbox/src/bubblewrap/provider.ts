import { closeSync, openSync } from "node:fs";
import { join } from "node:path";

import { GuildError, type CapabilityReport, type Sandbox, type SandboxProvider, type SandboxSpec } from "@guildhall/core";

import { SandboxGroup } from "../cgroup/group.ts";
import { findHierarchies, type Hierarchies } from "../cgroup/hierarchies.ts";
import { diskOptions, withDefaults } from "../default-limits.ts";
import { CONNECTION_FD, startInit } from "../init-process.ts";
import { InitSandbox } from "../init-sandbox.ts";
import type { ManagedCopy } from "../managed-copy/managed-copy.ts";
import { bridgeWayOut, INNER_WAY_OUT } from "../network/way-out.ts";
import type { SandboxProviderOptions } from "../provider-options.ts";
import { sandboxEnvironment } from "../sandbox-environment.ts";
import { checkedWorkspace } from "../sandbox-paths.ts";
import { sandboxUser } from "../sandbox-user.ts";
import { findToolkit, type Toolkit } from "../toolkit.ts";
import { WorkspaceHolds } from "../workspace-holds.ts";
import { bubblewrapArguments, type Mount } from "./arguments.ts";
import type { Guard } from "./git-guard.ts";
import { findBubblewrap, probeBubblewrap } from "./probe.ts";
import { makeSystemFiles } from "./system-files.ts";

/** Descriptor of the system call filter in bubblewrap: behind the connection. */
const SECCOMP_FD = CONNECTION_FD + 1;

/** Where the launcher puts what it mounts for us. */
const PREPARED = "/run/guildhall-host";

/**
 * Sandboxes by bubblewrap. As root everything runs under a dedicated unprivileged user, and the workspace is mounted with its
 * owner's ids mapped to that user's; as an ordinary user everything runs under that user's own id in a user namespace.
 */
export class BubblewrapProvider implements SandboxProvider {
  readonly name = "bubblewrap";
  readonly #options: SandboxProviderOptions;
  readonly #sandboxes = new Set<Sandbox>();
  readonly #workspaces: WorkspaceHolds;
  #systemFiles: string | undefined;
  #hierarchies: Hierarchies | undefined;

  constructor(options: SandboxProviderOptions) {
    this.#options = options;
    this.#workspaces = new WorkspaceHolds(join(options.stateDir, "copies"));
  }

  probe(): Promise<CapabilityReport> {
    return probeBubblewrap({ toolkitDir: this.#options.toolkitDir, hierarchies: findHierarchies() });
  }

  async create(spec: SandboxSpec): Promise<Sandbox> {
    const sandbox = await this.#open(spec, false).catch((error: unknown) => {
      if (!isUnmappable(error)) throw error;
      return this.#open(spec, true);
    });
    if (spec.wayOut === undefined) return sandbox;
    try {
      await bridgeWayOut(sandbox);
      return sandbox;
    } catch (error) {
      await sandbox.dispose();
      throw error;
    }
  }

  /** `copied`: on a copy of the workspace, where its file system cannot show files as another user's. */
  async #open(spec: SandboxSpec, copied: boolean): Promise<Sandbox> {
    const toolkit = findToolkit(this.#options.toolkitDir);
    const program = findBubblewrap();
    const limits = withDefaults(spec.limits);
    const hierarchies = (this.#hierarchies ??= sweptHierarchies());
    if (limits.cpus !== undefined && hierarchies.cpu === undefined) {
      throw new GuildError("unsupported", "a share of CPUs cannot be enforced here: no cgroup for it is ours to write", {
        remedy: "run as root, have systemd delegate the cpu controller, or leave `cpus` out",
      });
    }
    const asRoot = process.geteuid?.() === 0;
    const workspace = await checkedWorkspace(spec);
    const source = spec.source === undefined ? workspace : await checkedWorkspace({ ...spec, workspace: spec.source });
    const inside = (path: string): string => (isWithin(path, source.path) ? workspace.path + path.slice(source.path.length) : path);
    const ids = sandboxUser(this.#options.user);
    const systemFiles = (this.#systemFiles ??= makeSystemFiles(this.#options.stateDir, ids));
    let group: SandboxGroup | undefined;
    const held = await this.#workspaces.hold(source, { readOnly: spec.readOnly ?? [], asRoot, copy: copied ? ids : undefined });
    const { guard, copies } = held;
    const free = async (): Promise<void> => {
      try {
        await group?.remove();
      } finally {
        await held.release();
      }
    };
    const seccomp = openSync(toolkit.seccomp, "r");
    try {
      group = SandboxGroup.create(hierarchies, spec.id, limits);
      const given = { wayOut: spec.wayOut?.directory, toolchain: [...(spec.toolchain?.mounts ?? [])] };
      const places = asRoot
        ? preparedPlaces(copied ? { ...source, ...ids } : source, guard, copies, systemFiles, toolkit, given)
        : ownPlaces(source.path, guard, systemFiles, toolkit, given);
      const args = [
        ...group.directories.flatMap((directory) => ["--cgroup", directory]),
        ...(asRoot ? ["--mounts", ...places.launch, "--uid", String(ids.uid), "--gid", String(ids.gid)] : []),
        "--",
        program,
        ...bubblewrapArguments({
          ids,
          systemFiles: places.systemFiles,
          toolkit: places.toolkit,
          wayOut: places.wayOut,
          writable: places.writable.map((one) => ({ ...one, at: inside(one.at) })),
          toolchain: places.toolchain,
          pure: spec.toolchain?.pure === true,
          guarded: guard.paths.map(({ path, mount }) => ({ source: places.at(path), at: inside(path), mount })),
          workspace: workspace.path,
          tmpfsBytes: Math.max(2 ** 20, Math.floor(limits.memoryBytes / 2)),
          seccompFd: SECCOMP_FD,
          init: [
            ["--connection", String(CONNECTION_FD), "--workspace", workspace.path],
            // Where a cgroup counts, it is to be the one that refuses, since it can tell.
            ["--processes", String(limits.processes + (hierarchies.pids === undefined ? 0 : 64))],
            hierarchies.memory === undefined
              ? ["--memory-bytes", String(limits.memoryBytes), "--data-bytes", String(limits.memoryBytes)]
              : [],
            diskOptions(limits),
            spec.leaseMs === undefined ? [] : ["--lease-ms", String(spec.leaseMs)],
          ].flat(),
        }),
      ];
      const init = await startInit(toolkit.launch, args, [seccomp]);
      const own = group;
      const sandbox = new InitSandbox({
        id: spec.id,
        provider: this.name,
        connection: init.connection,
        workspace: workspace.path,
        env: sandboxEnvironment(spec),
        limits,
        wayOut: spec.wayOut === undefined ? undefined : INNER_WAY_OUT,
        leaseMs: spec.leaseMs,
        stop: init.stop,
        free: async () => {
          this.#sandboxes.delete(sandbox);
          await free();
        },
        measure: (seen) => own.measure(seen),
        explain: (status) => own.explain(status),
        ...(copied ? { settle: held.settle } : {}),
      });
      this.#sandboxes.add(sandbox);
      await held.endWith(sandbox);
      return sandbox;
    } catch (error) {
      await free();
      throw error;
    } finally {
      closeSync(seccomp);
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sandboxes].map((sandbox) => sandbox.dispose()));
  }
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

function isUnmappable(error: unknown): boolean {
  return GuildError.is(error, "failed_precondition") && error.message.includes("cannot map the owner");
}

function sweptHierarchies(): Hierarchies {
  const hierarchies = findHierarchies();
  SandboxGroup.sweep(hierarchies);
  return hierarchies;
}

/** Where bubblewrap finds what it mounts, and what the launcher is told to prepare. */
interface Places {
  launch: string[];
  systemFiles: string;
  toolkit: string;
  wayOut: string | undefined;
  toolchain: Mount[];
  writable: Mount[];
  /** Source of a path within the workspace or what is outside of it. */
  at(path: string): string;
}

/** Directories of the host that the spec names. */
interface Given {
  wayOut: string | undefined;
  toolchain: Mount[];
}

function ownPlaces(workspace: string, guard: Guard, systemFiles: string, toolkit: Toolkit, given: Given): Places {
  const writable = [workspace, ...guard.outside].map((path) => ({ source: path, at: path }));
  return { launch: [], systemFiles, toolkit: toolkit.directory, ...given, writable, at: (path) => path };
}

/** As root: everything is mounted by the launcher where the unprivileged user can reach it, whoever may enter the way there. */
function preparedPlaces(
  workspace: { path: string; uid: number; gid: number },
  guard: Guard,
  copies: readonly ManagedCopy[],
  systemFiles: string,
  toolkit: Toolkit,
  { wayOut, toolchain }: Given,
): Places {
  const roots = [workspace.path, ...guard.outside].map((path, index) => ({ at: path, source: `${PREPARED}/tree${index}` }));
  const launch = [
    roots.flatMap((root, index) => [
      "--idmap",
      copies[index]?.path ?? root.at,
      String(workspace.uid),
      String(workspace.gid),
      `tree${index}`,
    ]),
    ["--bind", systemFiles, "etc", "--bind", toolkit.directory, "toolkit"],
    wayOut === undefined ? [] : ["--bind", wayOut, "way-out"],
    toolchain.flatMap(({ source }, index) => ["--bind", source, `tool${index}`]),
  ].flat();
  return {
    launch,
    systemFiles: `${PREPARED}/etc`,
    toolkit: `${PREPARED}/toolkit`,
    wayOut: wayOut === undefined ? undefined : `${PREPARED}/way-out`,
    toolchain: toolchain.map(({ at }, index) => ({ source: `${PREPARED}/tool${index}`, at })),
    writable: roots,
    at: (path) => {
      const root = roots.find((one) => path === one.at || path.startsWith(`${one.at}/`));
      return root === undefined ? path : root.source + path.slice(root.at.length);
    },
  };
}
