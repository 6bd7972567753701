import { randomUUID } from "node:crypto";
import { closeSync, openSync } from "node:fs";

import {
  GuildError,
  type CapabilityReport,
  type Sandbox,
  type SandboxLimits,
  type SandboxProvider,
  type SandboxSpec,
} from "@guildhall/core";

import { SandboxGroup } from "../cgroup/group.ts";
import { findHierarchies, type Hierarchies } from "../cgroup/hierarchies.ts";
import { diskOptions, withDefaults } from "../default-limits.ts";
import { CONNECTION_FD, DID_NOT_START, type InitProcess, startInit } from "../init-process.ts";
import { InitSandbox } from "../init-sandbox.ts";
import { bridgeWayOut, INNER_WAY_OUT } from "../network/way-out.ts";
import type { SandboxProviderOptions } from "../provider-options.ts";
import { sandboxEnvironment } from "../sandbox-environment.ts";
import { refuseImage, checkedWorkspace } from "../sandbox-paths.ts";
import { sandboxUser } from "../sandbox-user.ts";
import { findToolkit } from "../toolkit.ts";
import { WorkspaceHolds } from "../workspace-holds.ts";
import { bubblewrapArguments } from "./arguments.ts";
import { ownPlaces, placerOptions, preparedPlaces } from "./places.ts";
import { type BakedLimits, prepareSandbox, tmpfsBytes } from "./prepared-sandbox.ts";
import { findBubblewrap, NO_FILTER, probeBubblewrap } from "./probe.ts";
import { makeSystemFiles } from "./system-files.ts";
import { WarmPool } from "./warm-pool.ts";

/** Descriptor of the system call filter in bubblewrap: behind the connection. */
const SECCOMP_FD = CONNECTION_FD + 1;

/**
 * Sandboxes by bubblewrap. As root everything runs under a dedicated unprivileged user, and the workspace is mounted with its
 * owner's ids mapped to that user's; as an ordinary user everything runs under that user's own id in a user namespace.
 */
export class BubblewrapProvider implements SandboxProvider {
  readonly name = "bubblewrap";
  readonly #options: SandboxProviderOptions;
  readonly #sandboxes = new Set<Sandbox>();
  readonly #workspaces: WorkspaceHolds;
  readonly #pool: WarmPool | undefined;
  /** For limits and toolchains of another kind, as they were asked for last. */
  readonly #other: WarmPool | undefined;
  #prepared = 0;
  #systemFiles: string | undefined;
  #hierarchies: Hierarchies | undefined;

  constructor(options: SandboxProviderOptions) {
    this.#options = options;
    this.#workspaces = new WorkspaceHolds(options.stateDir);
    const { warm = 0 } = options;
    if (warm > 0) {
      this.#pool = new WarmPool(warm, (limits) => this.#prepare(limits));
      this.#other = new WarmPool(1, (limits) => this.#prepare(limits));
    }
  }

  /** How many sandboxes came from the pool. */
  get takenFromPool(): number {
    return (this.#pool?.taken ?? 0) + (this.#other?.taken ?? 0);
  }

  async prepare(limits: SandboxLimits): Promise<void> {
    await this.#pool?.prepare(baked(withDefaults(limits)));
  }

  probe(): Promise<CapabilityReport> {
    return probeBubblewrap({ toolkitDir: this.#options.toolkitDir, hierarchies: findHierarchies() });
  }

  async create(spec: SandboxSpec): Promise<Sandbox> {
    const sandbox = await this.#open(spec, false)
      .catch((error: unknown) => {
        if (!isUnmappable(error)) throw error;
        return this.#open(spec, true);
      })
      .catch(async (error: unknown) => {
        throw await this.#explained(error);
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

  /** What is missing on this machine, and the remedy, where that is why nothing started. */
  async #explained(error: unknown): Promise<unknown> {
    if (!GuildError.is(error, "failed_precondition") || !error.message.includes(DID_NOT_START)) return error;
    const { capabilities } = await this.probe();
    // A kernel may name its filters and have them switched off: then bubblewrap says so.
    const lacking = error.message.includes("PR_SET_SECCOMP")
      ? NO_FILTER
      : capabilities.find((one) => !one.available && needed.includes(one.name));
    if (lacking === undefined) return error;
    const remedy = lacking.remedy === undefined ? {} : { remedy: lacking.remedy };
    return new GuildError("failed_precondition", `${DID_NOT_START}: ${lacking.name}: ${lacking.detail}`, { ...remedy, cause: error });
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
    const { readOnly = [], writable = [] } = spec;
    const held = await this.#workspaces.hold(source, { readOnly, writable, asRoot, copy: copied ? ids : undefined });
    const { guard, copies } = held;
    const free = async (): Promise<void> => {
      try {
        await group?.remove();
      } finally {
        await held.release();
      }
    };
    const initOptions = [
      ["--workspace", workspace.path],
      // Where a cgroup counts, it is to be the one that refuses, since it can tell.
      ["--processes", String(limits.processes + (hierarchies.pids === undefined ? 0 : 64))],
      hierarchies.memory === undefined ? ["--memory-bytes", String(limits.memoryBytes), "--data-bytes", String(limits.memoryBytes)] : [],
      diskOptions(limits),
      spec.leaseMs === undefined ? [] : ["--lease-ms", String(spec.leaseMs)],
    ].flat();
    const given = { wayOut: spec.wayOut?.directory, toolchain: [...(spec.toolchain?.mounts ?? [])] };
    refuseImage(spec.toolchain);
    const pure = spec.toolchain?.pure === true;
    const cold = async (group: SandboxGroup): Promise<InitProcess> => {
      const places = asRoot
        ? preparedPlaces(copied ? { ...source, ...ids } : source, guard, copies, systemFiles, toolkit, given)
        : ownPlaces(source.path, guard, systemFiles, toolkit, given);
      const seccomp = openSync(toolkit.seccomp, "r");
      try {
        return await startInit(
          toolkit.launch,
          [
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
              pure,
              guarded: guard.paths.map(({ path, mount }) => ({ source: places.at(path), at: inside(path), mount })),
              workspace: workspace.path,
              tmpfsBytes: tmpfsBytes(limits),
              seccompFd: SECCOMP_FD,
              init: ["--connection", String(CONNECTION_FD), ...initOptions],
            }),
          ],
          [seccomp],
        );
      } finally {
        closeSync(seccomp);
      }
    };
    try {
      const places = placerOptions({ asRoot, ids, workspace: source, guard, copies, given, inside });
      const warm = await this.#warm({ ...baked(limits), ...(pure ? { pure } : {}) }, places, initOptions);
      group = warm?.group ?? SandboxGroup.create(hierarchies, spec.id, limits);
      const init = warm?.init ?? (await cold(group));
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
        disarm: (places, found) => held.disarm(places, found),
        ...(copied ? { settle: held.settle, brought: held.brought } : {}),
      });
      this.#sandboxes.add(sandbox);
      await held.endWith(sandbox);
      return sandbox;
    } catch (error) {
      await free();
      throw error;
    }
  }

  /** A sandbox from the pool with its workspace in it. Undefined: there was none, or it did not work out, and one made for the purpose will tell why. */
  async #warm(
    limits: BakedLimits,
    places: readonly string[],
    options: readonly string[],
  ): Promise<{ init: InitProcess; group: SandboxGroup } | undefined> {
    const fits = this.#pool?.fits(limits) === true;
    const prepared = fits ? this.#pool?.take(limits) : this.#other?.take(limits);
    if (prepared === undefined) {
      if (!fits) this.#other?.learn(limits);
      return undefined;
    }
    try {
      return { init: await prepared.init.begin(places, options), group: prepared.group };
    } catch (error) {
      await prepared.discard();
      if (GuildError.is(error, "failed_precondition")) return undefined;
      throw error;
    }
  }

  async #prepare(limits: BakedLimits): ReturnType<typeof prepareSandbox> {
    const hierarchies = (this.#hierarchies ??= sweptHierarchies());
    const ids = sandboxUser(this.#options.user);
    const systemFiles = (this.#systemFiles ??= makeSystemFiles(this.#options.stateDir, ids));
    const id = `warm-${process.pid}-${randomUUID().slice(0, 8)}-${++this.#prepared}`;
    const toolkit = findToolkit(this.#options.toolkitDir);
    return await prepareSandbox({ id, toolkit, program: findBubblewrap(), ids, systemFiles, hierarchies, limits });
  }

  async close(): Promise<void> {
    await this.#pool?.close();
    await this.#other?.close();
    await Promise.all([...this.#sandboxes].map((sandbox) => sandbox.dispose()));
  }
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

function baked({ memoryBytes, processes, cpus }: SandboxLimits & BakedLimits): BakedLimits {
  return { memoryBytes, processes, ...(cpus === undefined ? {} : { cpus }) };
}

/** Of `probe`'s capabilities, those without which there is no sandbox. */
const needed = ["toolkit", "bubblewrap", "user-namespaces", "seccomp"];

function isUnmappable(error: unknown): boolean {
  return GuildError.is(error, "failed_precondition") && error.message.includes("cannot map the owner");
}

function sweptHierarchies(): Hierarchies {
  const hierarchies = findHierarchies();
  SandboxGroup.sweep(hierarchies);
  return hierarchies;
}
