import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { GuildError, type CapabilityReport, type Sandbox, type SandboxProvider, type SandboxSpec } from "@guildhall/core";

import { makeSystemFiles } from "../bubblewrap/system-files.ts";
import { SandboxGroup } from "../cgroup/group.ts";
import { diskOptions, withDefaults } from "../default-limits.ts";
import { InitFiles } from "../init-files.ts";
import { InitListener, initOptions } from "../init-listener.ts";
import { InitSandbox } from "../init-sandbox.ts";
import { bridgeWayOut, INNER_WAY_OUT } from "../network/way-out.ts";
import type { SandboxProviderOptions } from "../provider-options.ts";
import { sandboxEnvironment } from "../sandbox-environment.ts";
import { checkedWorkspace } from "../sandbox-paths.ts";
import { sandboxUser } from "../sandbox-user.ts";
import { findToolkit } from "../toolkit.ts";
import { InitConnection } from "../wire/connection.ts";
import { type HeldWorkspace, WorkspaceHolds } from "../workspace-holds.ts";
import { Container } from "./container-life.ts";
import { containerRequest } from "./container.ts";
import { chosenRuntime, engineFacts, type EngineFacts, GVISOR } from "./engine-facts.ts";
import { DockerEngine } from "./engine.ts";
import { sandboxImage, type SandboxImage } from "./image.ts";
import { removeLeftovers, sandboxLabels } from "./leftovers.ts";
import { probeDocker } from "./probe.ts";
import { hostsOf, Services } from "./services.ts";
import { isWithin, makeMountPoints, makeMountPointsInside, placedVolumes } from "./volumes-below.ts";
import { SandboxVolumes } from "./volumes.ts";

const run = promisify(execFile);

/** How long a container's init may take to report. */
const START_PATIENCE_MS = 60_000;

/** What is found out once, at the first sandbox. */
interface Ready {
  engine: DockerEngine;
  facts: EngineFacts;
  runtime: string;
  image: SandboxImage;
}

/**
 * Sandboxes as containers of a Docker engine on this machine. As root they run under a dedicated unprivileged user and get the workspace mounted,
 * its owner's ids mapped to that user's, between the init's start and the first command; where the file system cannot do that, on a copy. As an
 * ordinary user (whom the engine must admit) they run under that user's own id. A container ends with its owner and removes itself.
 */
export class DockerProvider implements SandboxProvider {
  readonly name = "docker";
  readonly #options: SandboxProviderOptions;
  readonly #stateDir: string;
  readonly #sandboxes = new Set<Sandbox>();
  readonly #workspaces: WorkspaceHolds;
  #ready: Promise<Ready> | undefined;

  constructor(options: SandboxProviderOptions) {
    this.#options = options;
    this.#stateDir = join(options.stateDir, "docker");
    this.#workspaces = new WorkspaceHolds(options.stateDir);
  }

  probe(): Promise<CapabilityReport> {
    return probeDocker(this.#options.docker ?? {}, this.#options.toolkitDir);
  }

  async create(spec: SandboxSpec): Promise<Sandbox> {
    const sandbox = await this.#open(spec, false).catch((error: unknown) => {
      if (!(GuildError.is(error, "failed_precondition") && error.message.includes("cannot map the owner"))) throw error;
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

  async close(): Promise<void> {
    await Promise.all([...this.#sandboxes].map((sandbox) => sandbox.dispose()));
  }

  async #open(spec: SandboxSpec, copied: boolean): Promise<Sandbox> {
    const toolkit = findToolkit(this.#options.toolkitDir);
    const workspace = await checkedWorkspace(spec);
    const source = spec.source === undefined ? workspace : await checkedWorkspace({ ...spec, workspace: spec.source });
    const inside = (path: string): string => (isWithin(path, source.path) ? workspace.path + path.slice(source.path.length) : path);
    const ready = await (this.#ready ??= this.#prepare().catch((error: unknown) => {
      this.#ready = undefined; // the engine may be there next time
      throw error;
    }));
    const limits = withDefaults(spec.limits);
    refuseUnenforceable(limits, ready.facts);
    const asRoot = process.geteuid?.() === 0;
    if (spec.toolchain?.pure === true) {
      throw new GuildError("unsupported", "a container cannot hide its image's programs", { remedy: "use --sandbox bubblewrap" });
    }
    const image = spec.toolchain?.image === undefined ? ready.image : await sandboxImage(ready.engine, spec.toolchain.image);
    const ids = sandboxUser(this.#options.user);
    const { readOnly = [], writable = [] } = spec;
    const held = await this.#workspaces.hold(source, { readOnly, writable, asRoot, copy: copied ? ids : undefined });
    let listener: InitListener | undefined;
    let container: Container | undefined;
    let beside: Services | undefined;
    const { services = [], volumes: own = [] } = spec.toolchain ?? {};
    const labels = sandboxLabels(spec.id, this.#stateDir);
    const volumes = new SandboxVolumes(ready.engine, spec.id, labels, [...own, ...services.flatMap((one) => one.volumes ?? [])]);
    const free = async (): Promise<void> => {
      await beside?.remove();
      await volumes.remove();
      await listener?.close();
      await held.release();
    };
    try {
      listener = await InitListener.open(this.#stateDir);
      const placed = asRoot && !copied;
      const guarded = held.guard.paths.map(({ path }) => inside(path));
      const shared = placedVolumes(own, workspace.path, guarded);
      await volumes.make({ image: image.name, volumes: shared.all, owner: ids });
      if (!placed) {
        const root = held.copies[0]?.path ?? source.path;
        await makeMountPoints(shared.below, { workspace: workspace.path, root, owner: copied ? ids : undefined });
      }
      const hosts = services.length === 0 ? undefined : join(listener.directory, "hosts");
      if (hosts !== undefined) await writeFile(hosts, hostsOf(services), { mode: 0o644 });
      const request = containerRequest({
        image,
        ids,
        labels,
        limits,
        swapLimit: ready.facts.swapLimit,
        runtime: ready.runtime,
        toolkit: toolkit.directory,
        systemFiles: makeSystemFiles(this.#options.stateDir, ids),
        connectDirectory: listener.directory,
        wayOut: spec.wayOut?.directory,
        hosts,
        volumes: volumes.mounts(shared.all.filter((one) => !placed || !shared.below.includes(one))),
        toolchain: spec.toolchain?.mounts ?? [],
        workspace: placed ? [] : boundByEngine(source.path, held, inside),
      });
      container = await Container.start(ready.engine, `guildhall-${spec.id}`, request);
      const socket = await listener.connected(container.ended, START_PATIENCE_MS).catch((error: unknown) => {
        throw ready.runtime === GVISOR ? explainedForGvisor(error) : error;
      });
      const { pid } = container;
      if (placed) await place(toolkit.place, container, { source, inside, ids, held });
      const group = pid === 0 ? undefined : SandboxGroup.ofProcess(pid);
      const lease = spec.leaseMs === undefined ? [] : ["--lease-ms", String(spec.leaseMs)];
      socket.write(initOptions(["--workspace", workspace.path, ...diskOptions(limits), ...lease]));
      const connection = new InitConnection(socket);
      socket.resume();
      await connection.ready();
      if (placed && shared.below.length > 0) {
        // What lies below the workspace is mounted after it.
        await makeMountPointsInside(shared.below, workspace.path, new InitFiles(connection));
        await runPlace(toolkit.place, container, { source, ids }, await volumes.trees(shared.below));
      }
      if (hosts !== undefined) {
        const { swapLimit } = ready.facts;
        const plan = { beside: container.id, labels, limits, swapLimit, runtime: ready.runtime, hosts, volumes };
        beside = new Services(ready.engine, plan);
      }
      const { stop } = container;
      const sandbox = new InitSandbox({
        id: spec.id,
        provider: this.name,
        connection,
        workspace: workspace.path,
        env: sandboxEnvironment(spec, image.env),
        limits,
        wayOut: spec.wayOut === undefined ? undefined : INNER_WAY_OUT,
        leaseMs: spec.leaseMs,
        stop,
        free: async () => {
          this.#sandboxes.delete(sandbox);
          await free();
        },
        ...(group === undefined ? {} : { measure: (seen) => group.measure(seen), explain: (status) => group.explain(status) }),
        disarm: (places, found) => held.disarm(places, found),
        ...(beside === undefined ? {} : { beside: beside.told }),
        ...(copied ? { settle: held.settle, brought: held.brought } : {}),
      });
      this.#sandboxes.add(sandbox);
      // Its lease is renewed meanwhile.
      await beside?.start(services);
      await held.endWith(sandbox);
      return sandbox;
    } catch (error) {
      await container?.stop();
      await free();
      throw error;
    }
  }

  async #prepare(): Promise<Ready> {
    const { host, image, runtime } = this.#options.docker ?? {};
    const engine = new DockerEngine(host);
    const facts = await engineFacts(engine);
    const report = await this.probe();
    const lacking = report.usable ? undefined : report.capabilities.find((one) => !one.available);
    if (lacking !== undefined) {
      throw new GuildError("failed_precondition", `the docker sandbox does not work here: ${lacking.name}: ${lacking.detail}`, {
        subject: engine.host,
        ...(lacking.remedy === undefined ? {} : { remedy: lacking.remedy }),
      });
    }
    await removeLeftovers(engine, this.#stateDir);
    return { engine, facts, runtime: chosenRuntime(facts, runtime), image: await sandboxImage(engine, image ?? "") };
  }
}

/** Mounts the workspace in the container, with its owner's ids mapped; its init waits meanwhile. */
async function place(
  program: string,
  container: Container,
  given: {
    source: { path: string; uid: number; gid: number };
    /** Where a path of the host's stands in the container. */
    inside(path: string): string;
    ids: { uid: number; gid: number };
    held: HeldWorkspace;
  },
): Promise<void> {
  const { source, inside, held } = given;
  const owner = [String(source.uid), String(source.gid)];
  const roots = [source.path, ...held.guard.outside];
  const mounts = roots.flatMap((path) => ["--idmap", path, ...owner, inside(path)]);
  await runPlace(program, container, given, [...mounts, ...held.guard.paths.flatMap(({ path, mount }) => [`--${mount}`, inside(path)])]);
}

async function runPlace(
  program: string,
  container: Container,
  { source, ids }: { source: { path: string }; ids: { uid: number; gid: number } },
  mounts: readonly string[],
): Promise<void> {
  const whose = ["--pid", String(container.pid), "--group", container.id, "--uid", String(ids.uid), "--gid", String(ids.gid)];
  try {
    await run(program, [...whose, ...mounts]);
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim();
    throw new GuildError("failed_precondition", `the sandbox did not start: ${said || GuildError.from(error).message}`, {
      subject: source.path,
      cause: error,
    });
  }
}

/** The workspace, or its copy, as the engine mounts it. */
function boundByEngine(
  workspace: string,
  held: HeldWorkspace,
  inside: (path: string) => string,
): Array<{ source: string; at: string; readOnly: boolean }> {
  const roots = [workspace, ...held.guard.outside].map((at, index) => ({ at, source: held.copies[index]?.path ?? at }));
  const within = (path: string): string => {
    const root = roots.find(({ at }) => path === at || path.startsWith(`${at}/`));
    return root === undefined ? path : root.source + path.slice(root.at.length);
  };
  const guards = held.guard.paths.map(({ path, mount }) => ({ source: within(path), at: inside(path), readOnly: mount === "read" }));
  return [...roots.map(({ at, source }) => ({ source, at: inside(at), readOnly: false })), ...guards];
}

function refuseUnenforceable(limits: { cpus?: number }, facts: EngineFacts): void {
  if (limits.cpus === undefined || facts.cpuLimit) return;
  throw new GuildError("unsupported", "the Docker engine cannot limit a share of CPUs here", { remedy: "leave `cpus` out" });
}

function explainedForGvisor(error: unknown): GuildError {
  const own = GuildError.from(error);
  return new GuildError(own.code, own.message, {
    remedy: "give gVisor's runtime the argument --host-uds=open, or set sandbox.docker_runtime to runc",
    cause: error,
  });
}
