import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "@guildhall/core";

import type { KubernetesApi } from "./api.ts";
import { LINK_CONTAINER } from "./pod.ts";

const PODS = "/api/v1/namespaces/{namespace}/pods";
const STOP_PATIENCE_MS = 60_000;
/** Between two looks when a watch could not be had. */
const RETRY_MS = 1000;

/** The part of a pod that is looked at. */
export interface PodObject {
  metadata: { name: string; uid?: string; resourceVersion?: string; labels?: Record<string, string> };
  status?: {
    phase?: string;
    reason?: string;
    message?: string;
    conditions?: Array<{ type: string; status: string; message?: string }>;
    initContainerStatuses?: ContainerStatus[];
    containerStatuses?: ContainerStatus[];
  };
}

interface ContainerStatus {
  name: string;
  state?: {
    running?: unknown;
    waiting?: { reason?: string; message?: string };
    terminated?: { exitCode?: number; reason?: string; message?: string };
  };
}

/** A pod that cannot start will not do so by waiting. */
const HOPELESS = [
  "ErrImagePull",
  "ImagePullBackOff",
  "InvalidImageName",
  "ErrImageNeverPull",
  "CreateContainerConfigError",
  "CreateContainerError",
];

/** One pod, from its creation until nothing is left of it. Followed by a watch. */
export class Pod {
  readonly name: string;
  /** Resolves, with the reason, when its containers have ended or cannot start, or it is gone. Never rejects. */
  readonly ended: Promise<string>;
  readonly #api: KubernetesApi;
  readonly #follow = new AbortController();
  readonly #ended = Promise.withResolvers<string>();
  readonly #removed = Promise.withResolvers<void>();
  readonly #linked = Promise.withResolvers<void>();
  #seen: PodObject;

  private constructor(api: KubernetesApi, made: PodObject) {
    this.#api = api;
    this.#seen = made;
    this.name = made.metadata.name;
    this.ended = this.#ended.promise;
    this.#linked.promise.catch(() => {}); // told to who waits for it
  }

  /** Throws as the API server refuses. */
  static async create(api: KubernetesApi, request: object): Promise<Pod> {
    const pod = new Pod(api, (await api.call("POST", PODS, request)) as PodObject);
    pod.#look(pod.#seen);
    pod.#watch().catch(() => undefined); // it catches what a server says, and tries again
    return pod;
  }

  /** Resolves when a command can be run in its way in. Throws `failed_precondition` with what keeps it from starting. */
  async linked(patienceMs: number): Promise<void> {
    const over = new AbortController();
    const late = sleep(patienceMs, undefined, { signal: over.signal }).then(
      () => this.#linked.reject(failed(`${this.#why()} after ${patienceMs / 1000} s`)),
      () => undefined, // called off
    );
    try {
      await this.#linked.promise;
    } finally {
      over.abort();
      await late;
    }
  }

  /** Deletes it, and resolves when the server has seen its containers end. */
  readonly stop = async (): Promise<void> => {
    try {
      await this.#delete(1);
      if (await this.#removedWithin(STOP_PATIENCE_MS)) return;
      // Its node may be cut off: its init has ended what runs there when the lease was over.
      await this.#delete(0);
      if (await this.#removedWithin(STOP_PATIENCE_MS)) return;
      throw new GuildError("internal", "the Kubernetes API server does not remove a sandbox's pod", {
        subject: this.name,
        remedy: `kubectl delete pod ${this.name} --grace-period=0 --force`,
      });
    } finally {
      this.#follow.abort();
    }
  };

  async #delete(gracePeriodSeconds: number): Promise<void> {
    const body = { apiVersion: "v1", kind: "DeleteOptions", gracePeriodSeconds, propagationPolicy: "Background" };
    await this.#api.call("DELETE", `${PODS}/${this.name}`, body).catch((error: unknown) => {
      if (!GuildError.is(error, "not_found")) throw error;
      this.#gone("its pod was deleted");
    });
  }

  async #removedWithin(ms: number): Promise<boolean> {
    const over = new AbortController();
    const late = sleep(ms, false, { signal: over.signal }).catch(() => false); // called off
    const done = await Promise.race([this.#removed.promise.then(() => true), late]);
    over.abort();
    return done;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#follow;
    const here = `fieldSelector=${encodeURIComponent(`metadata.name=${this.name}`)}`;
    while (!signal.aborted) {
      try {
        const version = this.#seen.metadata.resourceVersion ?? "";
        for await (const { type, object } of this.#api.watch(`${PODS}?watch=true&${here}&resourceVersion=${version}`, signal)) {
          if (type === "DELETED") return this.#gone("its pod was deleted");
          if (type === "ADDED" || type === "MODIFIED") this.#look(object as PodObject);
          else if (type === "ERROR") break; // the version is too old
        }
        this.#look((await this.#api.call("GET", `${PODS}/${this.name}`)) as PodObject);
      } catch (error) {
        if (GuildError.is(error, "not_found")) return this.#gone("its pod was deleted");
        // An API server that is away for a while takes no sandbox with it.
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined); // stopped meanwhile
      }
    }
  }

  #gone(reason: string): void {
    this.#ended.resolve(reason);
    this.#linked.reject(failed(reason));
    this.#removed.resolve();
  }

  #look(pod: PodObject): void {
    this.#seen = pod;
    const { phase, initContainerStatuses: first = [], containerStatuses: main = [] } = pod.status ?? {};
    if (first.some(({ name, state }) => name === LINK_CONTAINER && state?.running !== undefined)) this.#linked.resolve();
    const over = main.find(({ state }) => state?.terminated !== undefined);
    if (phase === "Failed" || phase === "Succeeded" || over !== undefined) {
      const reason = `its pod ended: ${this.#why()}`;
      this.#ended.resolve(reason);
      this.#linked.reject(failed(reason));
    } else if ([...first, ...main].some(({ state }) => HOPELESS.includes(state?.waiting?.reason ?? ""))) {
      this.#ended.resolve(this.#why());
      this.#linked.reject(failed(this.#why()));
    }
  }

  /** The most telling part of its status. */
  #why(): string {
    const { phase, reason, message, conditions = [], initContainerStatuses = [], containerStatuses = [] } = this.#seen.status ?? {};
    if (reason !== undefined) return line(`${reason} ${message ?? ""}`);
    for (const { name, state } of [...initContainerStatuses, ...containerStatuses]) {
      const { waiting, terminated } = state ?? {};
      if (waiting?.reason !== undefined && waiting.reason !== "PodInitializing")
        return line(`${name}: ${waiting.reason} ${waiting.message ?? ""}`);
      if (terminated !== undefined && terminated.exitCode !== 0)
        return line(`${name}: ${terminated.reason ?? `exit code ${terminated.exitCode}`} ${terminated.message ?? ""}`);
    }
    const unplaced = conditions.find(({ type, status }) => type === "PodScheduled" && status === "False");
    return line(unplaced?.message ?? phase ?? "its pod has no status yet");
  }
}

function failed(reason: string): GuildError {
  return new GuildError("failed_precondition", `the sandbox did not start: ${reason}`, { remedy: "see `kubectl get events`" });
}

function line(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim().slice(0, 500);
}
