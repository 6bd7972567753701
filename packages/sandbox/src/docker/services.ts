import { setTimeout as sleep } from "node:timers/promises";

import { GuildError, type SandboxService } from "@guildhall/core";

import type { DockerEngine } from "./engine.ts";
import { putFiles, type SandboxVolumes } from "./volumes.ts";

/** How long a service may take to say that it is well, and how often it is asked while it starts. */
const HEALTH_PATIENCE_MS = 60_000;
const HEALTH_LOOK_MS = 200;
/** One that has not ended by then has started. */
const SETTLE_MS = 300;
/** Characters of its last words that are told. */
const MOST_SAID = 200;

/** What services that keep their files to themselves and step down to a user of their own cannot do without; the engine's own default has more. */
const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"];

export interface ServicePlan {
  /** Container of the sandbox. */
  beside: string;
  labels: Record<string, string>;
  limits: { memoryBytes: number; processes: number };
  swapLimit: boolean;
  /** Empty: the engine's default. */
  runtime: string;
  /** File that names the sandbox's neighbours, for /etc/hosts. */
  hosts: string;
  volumes: Pick<SandboxVolumes, "mounts">;
}

/** `/etc/hosts` of a sandbox and its services: all of them are one machine, and have its loopback alone. */
export function hostsOf(services: readonly SandboxService[]): string {
  return `127.0.0.1 localhost guildhall\n::1 localhost\n127.0.0.1 ${services.map(({ name }) => name).join(" ")}\n`;
}

/**
 * Services beside a sandbox, each a container in the sandbox's own network and among its processes: nobody else reaches them, they reach nobody else, and
 * the kernel ends them with the sandbox's init, whatever becomes of us. They get no mount of the machine, few capabilities, and the sandbox's limits once
 * more each.
 */
export class Services {
  /** A line on each: that it runs, or why not. */
  readonly told: string[] = [];
  readonly #engine: DockerEngine;
  readonly #plan: ServicePlan;
  readonly #containers: string[] = [];

  constructor(engine: DockerEngine, plan: ServicePlan) {
    this.#engine = engine;
    this.#plan = plan;
  }

  /** Starts them one after another. Never rejects for one that does not start: a session goes on without it, and is told. */
  async start(services: readonly SandboxService[]): Promise<void> {
    for (const service of services) {
      const why = await this.#start(service).catch((error: unknown) => GuildError.from(error).line);
      const { name } = service;
      this.told.push(why === undefined ? `Service ${name} runs, at ${name} on its own port.` : `Service ${name} does not run: ${why}`);
    }
  }

  /** Removes what is left of them; after the sandbox's own container. */
  async remove(): Promise<void> {
    // One that is gone already is no failure; whatever else is left goes with the next start's leftovers.
    await Promise.all(this.#containers.map((id) => this.#engine.delete(`/containers/${id}?force=1&v=1`).catch(() => undefined)));
  }

  /** Why it does not run; undefined: it does. */
  async #start(service: SandboxService): Promise<string | undefined> {
    const name = `${this.#plan.labels["app.guildhall.sandbox"] ?? this.#plan.beside}-${service.name}`;
    const made = (await this.#engine.post(`/containers/create?name=${encodeURIComponent(`guildhall-${name}`)}`, {
      body: serviceRequest(service, this.#plan),
    })) as { Id: string };
    this.#containers.push(made.Id);
    const { files = [] } = service;
    if (files.length > 0) await putFiles(this.#engine, made.Id, files);
    await this.#engine.post(`/containers/${made.Id}/start`);
    await sleep(SETTLE_MS);
    for (let waited = 0; ; waited += HEALTH_LOOK_MS) {
      const { State: state } = (await this.#engine.get(`/containers/${made.Id}/json`)) as {
        State: { Running: boolean; ExitCode: number; Health?: { Status: string } };
      };
      if (!state.Running) return `it ended with code ${state.ExitCode}${await this.#lastWords(made.Id)}`;
      const health = state.Health?.Status ?? "none";
      if (health === "none" || health === "healthy") return undefined;
      if (health === "unhealthy" || waited > HEALTH_PATIENCE_MS) return `it is ${health}${await this.#lastWords(made.Id)}`;
      await sleep(HEALTH_LOOK_MS);
    }
  }

  async #lastWords(id: string): Promise<string> {
    const text = await this.#engine.text(`/containers/${id}/logs?stdout=1&stderr=1&tail=1`).catch(() => ""); // nothing to add, then
    const line = text
      .slice(text.charCodeAt(0) <= 2 ? 8 : 0) // the stream's number and length
      .replaceAll(/[\s\p{Cc}]+/gu, " ")
      .trim();
    return line === "" ? "" : `: ${line.slice(0, MOST_SAID)}`;
  }
}

function serviceRequest(service: SandboxService, plan: ServicePlan): Record<string, unknown> {
  const { limits } = plan;
  const { health, temporary = [] } = service;
  const memory = `rw,exec,nosuid,nodev,size=${Math.max(2 ** 20, Math.floor(limits.memoryBytes / 2))}`;
  const nanoseconds = (seconds: number): number => Math.round(seconds * 1e9);
  return {
    Image: service.image,
    Env: Object.entries(service.env).map(([name, value]) => `${name}=${value}`),
    ...(service.command === undefined ? {} : { Cmd: service.command }),
    ...(service.entrypoint === undefined ? {} : { Entrypoint: service.entrypoint }),
    ...(service.user === undefined ? {} : { User: service.user }),
    ...(service.directory === undefined ? {} : { WorkingDir: service.directory }),
    ...(health === undefined
      ? {}
      : {
          Healthcheck: {
            Test: health.test,
            ...(health.intervalSeconds === undefined ? {} : { Interval: nanoseconds(health.intervalSeconds) }),
            ...(health.timeoutSeconds === undefined ? {} : { Timeout: nanoseconds(health.timeoutSeconds) }),
            ...(health.startSeconds === undefined ? {} : { StartPeriod: nanoseconds(health.startSeconds) }),
            ...(health.retries === undefined ? {} : { Retries: health.retries }),
          },
        }),
    Labels: plan.labels,
    HostConfig: {
      NetworkMode: `container:${plan.beside}`,
      PidMode: `container:${plan.beside}`,
      IpcMode: "private",
      CgroupnsMode: "private",
      CapDrop: ["ALL"],
      CapAdd: CAPABILITIES,
      SecurityOpt: ["no-new-privileges:true"],
      ...(plan.runtime === "" ? {} : { Runtime: plan.runtime }),
      RestartPolicy: { Name: "no" },
      LogConfig: { Type: "json-file", Config: { "max-size": "1m", "max-file": "1" } },
      Memory: limits.memoryBytes,
      ...(plan.swapLimit ? { MemorySwap: limits.memoryBytes } : {}),
      PidsLimit: limits.processes,
      Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }],
      Tmpfs: Object.fromEntries(temporary.map((at) => [at, memory])),
      Mounts: [
        ...plan.volumes.mounts(service.volumes),
        {
          Type: "bind",
          Source: plan.hosts,
          Target: "/etc/hosts",
          ReadOnly: true,
          BindOptions: { Propagation: "rprivate", NonRecursive: true },
        },
      ],
    },
  };
}
