import { createHash, randomUUID } from "node:crypto";

import { GuildError, type CapabilityReport, type Sandbox, type SandboxProvider, type SandboxSpec } from "@guildhall/core";

import { diskOptions, withDefaults } from "../default-limits.ts";
import { initOptions } from "../init-listener.ts";
import { InitSandbox } from "../init-sandbox.ts";
import { INNER_WAY_OUT } from "../network/way-out.ts";
import type { KubernetesOptions, SandboxProviderOptions } from "../provider-options.ts";
import { sandboxEnvironment } from "../sandbox-environment.ts";
import { checkedWorkspace, refuseServices } from "../sandbox-paths.ts";
import { sandboxUser } from "../sandbox-user.ts";
import { findToolkit } from "../toolkit.ts";
import { InitConnection } from "../wire/connection.ts";
import { type HeldWorkspace, WorkspaceHolds } from "../workspace-holds.ts";
import { KubernetesApi } from "./api.ts";
import { execInPod } from "./exec.ts";
import { requireClosed, requireEnforced } from "./isolation.ts";
import { Pod, type PodObject } from "./pod-life.ts";
import { LINK_COMMAND, LINK_CONTAINER, podRequest, SANDBOX_LABEL, STATE_LABEL } from "./pod.ts";
import { probeKubernetes, requireImage } from "./probe.ts";
import { onVolume, type SharedVolume, sharedVolume } from "./volume.ts";
import { relayWayOut } from "./way-out.ts";

/** How long a pod may take to be placed, pulled and started. */
const START_PATIENCE_MS = 300_000;
/** How long an init waits for its way in, and we for the init. */
const LINK_PATIENCE_MS = 60_000;
/** No sandbox lives longer, whatever happens to its worker and its lease. */
const DEADLINE_SECONDS = 24 * 3600;

interface Ready {
  api: KubernetesApi;
  image: string;
  volume: SharedVolume;
}

/**
 * Sandboxes as pods of a Kubernetes cluster, in one namespace, each with the workspace from a volume that it shares with this worker. All that goes in
 * and out of one goes through one exec; a pod ends with that connection, with its lease, with its worker's pod, and at the latest after a day.
 */
export class KubernetesProvider implements SandboxProvider {
  readonly name = "kubernetes";
  readonly #options: SandboxProviderOptions;
  readonly #kubernetes: KubernetesOptions;
  readonly #sandboxes = new Set<Sandbox>();
  readonly #workspaces: WorkspaceHolds;
  #ready: Promise<Ready> | undefined;
  #enforced: Promise<void> | undefined;

  constructor(options: SandboxProviderOptions) {
    this.#options = options;
    this.#kubernetes = options.kubernetes ?? {};
    this.#workspaces = new WorkspaceHolds(options.stateDir);
  }

  probe(): Promise<CapabilityReport> {
    return probeKubernetes(this.#kubernetes, this.#options.toolkitDir);
  }

  async create(spec: SandboxSpec): Promise<Sandbox> {
    const toolkit = findToolkit(this.#options.toolkitDir);
    const workspace = await checkedWorkspace(spec);
    const source = spec.source === undefined ? workspace : await checkedWorkspace({ ...spec, workspace: spec.source });
    refuseToolchain(spec);
    const { api, image, volume } = await (this.#ready ??= this.#prepare().catch((error: unknown) => {
      this.#ready = undefined; // the cluster may be there next time
      throw error;
    }));
    const limits = withDefaults(spec.limits);
    onVolume(volume, source.path);
    const held = await this.#workspaces.hold(source, {
      readOnly: spec.readOnly ?? [],
      writable: spec.writable ?? [],
      asRoot: process.geteuid?.() === 0,
      copy: undefined,
    });
    let pod: Pod | undefined;
    try {
      refuseServices(spec.toolchain);
      const labels = { [SANDBOX_LABEL]: label(spec.id), [STATE_LABEL]: this.#mark() };
      await requireClosed(api, labels);
      pod = await Pod.create(
        api,
        podRequest({
          name: podName(spec.id),
          labels,
          owner: ownerOf(this.#kubernetes.owner),
          ids: sandboxUser(this.#options.user),
          toolkitImage: image,
          toolkit: toolkit.directory,
          image: spec.toolchain?.image ?? (this.#kubernetes.image || image),
          limits,
          claim: volume.claim,
          workspace: mounts(volume, { workspace: workspace.path, source: source.path, held }),
          wayOut: spec.wayOut !== undefined,
          deadlineSeconds: DEADLINE_SECONDS,
          patienceMs: LINK_PATIENCE_MS,
        }),
      );
      const memory = String(limits.memoryBytes);
      const lease = spec.leaseMs === undefined ? [] : ["--lease-ms", String(spec.leaseMs)];
      // A node's own limit on memory would end the whole pod: the init ends the largest process before.
      const enforced = ["--memory-bytes", memory, "--data-bytes", memory, ...diskOptions(limits), ...lease];
      const processes = String(limits.processes + 64);
      const connection = await connected(api, pod, ["--workspace", workspace.path, "--processes", processes, ...enforced]);
      const { stop } = pod;
      const sandbox = new InitSandbox({
        id: spec.id,
        provider: this.name,
        connection,
        workspace: workspace.path,
        env: sandboxEnvironment(spec),
        limits,
        wayOut: spec.wayOut === undefined ? undefined : INNER_WAY_OUT,
        leaseMs: spec.leaseMs,
        stop,
        free: async () => {
          this.#sandboxes.delete(sandbox);
          await held.release();
        },
      });
      this.#sandboxes.add(sandbox);
      return await this.#opened(spec, api, sandbox, connection, held);
    } catch (error) {
      await pod?.stop();
      await held.release();
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sandboxes].map((sandbox) => sandbox.dispose()));
  }

  async #opened(
    spec: SandboxSpec,
    api: KubernetesApi,
    sandbox: InitSandbox,
    connection: InitConnection,
    held: HeldWorkspace,
  ): Promise<Sandbox> {
    try {
      await (this.#enforced ??= requireEnforced(api, sandbox));
      if (spec.wayOut !== undefined) await relayWayOut(sandbox, connection, spec.wayOut.directory);
      await held.endWith(sandbox);
      return sandbox;
    } catch (error) {
      this.#enforced = undefined; // whoever repairs the cluster need not start us anew
      await sandbox.dispose();
      throw error;
    }
  }

  async #prepare(): Promise<Ready> {
    const image = requireImage(this.#kubernetes);
    const volume = sharedVolume(this.#kubernetes.volume ?? "");
    const api = new KubernetesApi(this.#kubernetes);
    await this.#removeLeftovers(api);
    return { api, image, volume };
  }

  /** Pods of ours that have ended and that nobody was left to delete; those of a worker that has gone end by themselves. */
  async #removeLeftovers(api: KubernetesApi): Promise<void> {
    const chosen = encodeURIComponent(`${STATE_LABEL}=${this.#mark()}`);
    const list = (await api.call("GET", `/api/v1/namespaces/{namespace}/pods?labelSelector=${chosen}`)) as { items: PodObject[] };
    for (const { metadata, status } of list.items) {
      if (status?.phase !== "Succeeded" && status?.phase !== "Failed") continue;
      // Somebody else may be quicker.
      await api.call("DELETE", `/api/v1/namespaces/{namespace}/pods/${metadata.name}`).catch(() => undefined);
    }
  }

  #mark(): string {
    return createHash("sha256")
      .update(`${this.#kubernetes.owner ?? ""} ${this.#options.stateDir}`)
      .digest("hex")
      .slice(0, 24);
  }
}

/** The init of a pod, once both it and its way in are there. */
async function connected(api: KubernetesApi, pod: Pod, options: readonly string[]): Promise<InitConnection> {
  await pod.linked(START_PATIENCE_MS);
  const { stream, ended } = await execInPod(api, pod.name, LINK_CONTAINER, LINK_COMMAND);
  stream.write(initOptions(options));
  const connection = new InitConnection(stream);
  pod.ended.then((reason) => connection.end(reason)).catch(() => undefined); // it never rejects
  const reason = Promise.race([pod.ended, ended]);
  const late = setTimeout(() => connection.end(`its init did not report within ${LINK_PATIENCE_MS / 1000} s`), LINK_PATIENCE_MS);
  try {
    await connection.ready();
    return connection;
  } catch (error) {
    connection.end("it did not start");
    throw new GuildError("failed_precondition", `the sandbox did not start: ${await reason}`, { subject: pod.name, cause: error });
  } finally {
    clearTimeout(late);
  }
}

function mounts(
  volume: SharedVolume,
  { workspace, source, held }: { workspace: string; source: string; held: HeldWorkspace },
): Array<{ subPath: string; at: string; readOnly: boolean }> {
  const inside = (path: string): string =>
    path === source || path.startsWith(`${source}/`) ? workspace + path.slice(source.length) : path;
  const mount = (path: string, readOnly: boolean): { subPath: string; at: string; readOnly: boolean } => ({
    subPath: onVolume(volume, path),
    at: inside(path),
    readOnly,
  });
  return [
    ...[source, ...held.guard.outside].map((path) => mount(path, false)),
    ...held.guard.paths.map(({ path, mount: kind }) => mount(path, kind === "read")),
  ];
}

function refuseToolchain({ toolchain }: SandboxSpec): void {
  const [mount] = toolchain?.mounts ?? [];
  if (mount === undefined && toolchain?.pure !== true) return;
  throw new GuildError("unsupported", "a pod cannot have programs of its worker mounted", {
    subject: mount?.source ?? "pure",
    remedy: "put them into the image (sandbox.kubernetes_image), or use --sandbox bubblewrap",
  });
}

/** Names of pods are lower case; ids are not. */
function podName(id: string): string {
  const readable = id.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  return `guildhall-${readable.slice(0, 40).replace(/-$/, "")}-${randomUUID().slice(0, 8)}`;
}

function label(id: string): string {
  return id.slice(0, 63).replace(/[^A-Za-z0-9]+$/, "");
}

/** Reads `NAME/UID` of a pod. */
function ownerOf(text: string | undefined): { name: string; uid: string } | undefined {
  const [name, uid] = (text ?? "").split("/");
  return name && uid ? { name, uid } : undefined;
}
