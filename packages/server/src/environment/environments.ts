import { lstatSync } from "node:fs";
import { join } from "node:path";

import { type Environment, GuildError, type Ids, type ProjectFacts, type SandboxProvider } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import type { FeatureRegistry, Generation, Generations, NixSetup, SandboxImages } from "@guildhall/environment";

import { availableServers, findServers, type FoundServer } from "./found-servers.ts";
import { nixSetup } from "./nix-setup.ts";
import { platform } from "./platform.ts";
import { ToolProbe } from "./tool-probe.ts";

export interface EnvironmentsOptions {
  /** Of the daemon, for what may be lost. */
  stateDir: string;
  /** Of the daemon, for what is kept. */
  dataDir: string;
  uid: number;
  /** Lines while something is built. */
  progress(line: string): void;
  /** Home of the person. */
  home: string;
  settings(): Settings;
  provider(name: string): Promise<SandboxProvider>;
  /** A person has trusted what the directory brings, exactly as it is. */
  isTrusted(workspace: string): boolean;
  ids: Ids;
}

/** An environment with the facts it was chosen by. */
export interface KnownEnvironment {
  environment: Environment;
  facts: ProjectFacts;
  languageServers: readonly FoundServer[];
  awareness: string;
}

/** Where an environment is wanted. */
export interface EnvironmentPlace {
  workspace: string;
  /** Sandbox provider; empty: the configured one. */
  provider: string;
}

/** How an environment is resolved, when not as for a session. */
export interface ResolveHow {
  /** Ask everything again, and fail rather than stay with the former generation. */
  anew?: boolean;
  /** Make it the current generation, whatever is held, unless `check` throws. */
  adopt?: { why: string; check(environment: Environment, facts: ProjectFacts): void };
  progress?(line: string): void;
  signal?: AbortSignal;
}

/** The environments of a daemon's projects: resolved when asked for, and kept as generations. */
export class Environments {
  readonly #options: EnvironmentsOptions;
  readonly #probe: ToolProbe;
  #generations: Promise<Generations> | undefined;
  #registry: FeatureRegistry | undefined;
  /** One session asks several times while it starts. */
  readonly #recent = new Map<string, { until: number; known: Promise<KnownEnvironment> }>();

  constructor(options: EnvironmentsOptions) {
    this.#options = options;
    this.#probe = new ToolProbe(options);
  }

  get ids(): Ids {
    return this.#options.ids;
  }

  /** The isolation provider of a name. */
  provider(name: string): Promise<SandboxProvider> {
    return this.#options.provider(name);
  }

  /** Throws what a source that the settings name throws; otherwise there always is one. */
  async resolve(place: EnvironmentPlace): Promise<KnownEnvironment> {
    const key = this.project(place);
    const recent = this.#recent.get(key);
    if (recent !== undefined && performance.now() < recent.until) return await recent.known;
    const known = this.resolveNow(place, {});
    const entry = { until: Infinity, known };
    this.#recent.set(key, entry);
    try {
      const found = await known;
      entry.until = performance.now() + FRESH_MS;
      return found;
    } catch (error) {
      this.#recent.delete(key);
      throw error;
    } finally {
      for (const [other, { until }] of this.#recent) if (until < performance.now()) this.#recent.delete(other);
    }
  }

  /** The same, for this caller alone. */
  async resolveNow(place: EnvironmentPlace, how: ResolveHow): Promise<KnownEnvironment> {
    const {
      addLayers,
      awarenessBlock,
      chooseEnvironment,
      completeEnvironment,
      describeGitHead,
      detectProject,
      devcontainerSource,
      hostFiles,
      hostSource,
      nixSource,
      ociFeatures,
      readGitHead,
      serverKinds,
      toolchainSource,
      toolNames,
    } = await import("@guildhall/environment");
    const { workspace } = place;
    const { home, settings, stateDir } = this.#options;
    const provider = this.#providerOf(place);
    const files = hostFiles(workspace);
    const facts = await detectProject(files);
    const project = this.project(place);
    const generations = await this.generations();
    const current = generations.current(project);
    const told = async (environment: Environment): Promise<KnownEnvironment> => {
      const languageServers = findServers(serverKinds, facts, environment, workspace);
      const head = readGitHead(workspace);
      const around = {
        platform: platform(),
        languageServers: availableServers(languageServers),
        ports: [],
        ...(head === undefined ? {} : { git: describeGitHead(head) }),
      };
      return { environment, facts, languageServers, awareness: awarenessBlock(environment, facts, around) };
    };
    const staying = (why: string): Promise<KnownEnvironment> | undefined => {
      if (current === undefined || how.adopt !== undefined || how.anew === true || !isThere(current.environment)) return undefined;
      return told({ ...current.environment, differences: [why, ...current.environment.differences] });
    };
    if (current?.held === true) {
      const held = staying(
        `generation ${current.number} is held since somebody rolled back to it; guild env set takes what the project declares`,
      );
      if (held !== undefined) return await held;
    }
    const asked = settings().environment.source;
    const sandbox = { mounts: provider !== "host", pure: provider === "bubblewrap" };
    const cacheFile = how.anew === true ? undefined : join(stateDir, "nix.json");
    const progress = (line: string): void => {
      how.progress?.(line);
      this.#options.progress(`${workspace}: ${line}`);
    };
    const sources = [
      nixSource({ setup: this.nix(), cacheFile, sandbox }),
      devcontainerSource({
        images: await this.#images(provider),
        platform: `linux/${process.arch === "x64" ? "amd64" : process.arch}`,
        registry: (this.#registry ??= ociFeatures(() => settings().environment.feature_registries)),
      }),
      toolchainSource({ home }),
      hostSource,
    ];
    const request = {
      workspace,
      facts,
      files,
      trusted: this.#options.isTrusted(workspace),
      signal: how.signal ?? new AbortController().signal,
      progress,
    };
    const chosen = await addLayers(
      await chooseEnvironment(sources, request, asked === "auto" ? undefined : asked),
      sources,
      request,
      settings().environment.layers,
    );
    const passed = chosen.passedOver.find(({ kind }) => kind === current?.environment.kind);
    if (passed !== undefined) {
      const former = staying(`${passed.why}; generation ${current?.number} stays`);
      if (former !== undefined) return await former;
    }
    const [failed] = chosen.passedOver;
    if (how.adopt !== undefined && failed !== undefined) {
      throw new GuildError("failed_precondition", failed.why, { remedy: "nothing has been changed" });
    }
    const tools = await this.#probe.tools(chosen, toolNames(facts), provider, { anew: how.anew === true });
    const environment = completeEnvironment(chosen, facts, tools, { workspace, home });
    if (how.anew === true && how.adopt === undefined) return await told(environment);
    how.adopt?.check(environment, facts);
    const why = how.adopt?.why ?? (current === undefined ? "first seen" : "the project or its tools have changed");
    return await told(generations.add(project, environment, why).environment);
  }

  /** The generation that sessions of a place should be in now; undefined: none was made. Touches nothing but memory. */
  async current(place: EnvironmentPlace): Promise<(Generation & { held: boolean }) | undefined> {
    return (await this.generations()).current(this.project(place));
  }

  /** Forgets what was resolved a moment ago. */
  changed(place: EnvironmentPlace): void {
    this.#recent.delete(this.project(place));
  }

  generations(): Promise<Generations> {
    return (this.#generations ??= import("@guildhall/environment").then(
      ({ Generations: Made }) => new Made({ directory: join(this.#options.dataDir, "environments"), now: () => new Date() }),
    ));
  }

  /** What the settings say now of sessions' environments. */
  get terms(): { strict: boolean; advisories: string; setupSeconds: number; languageServers: readonly string[] } {
    const { strict, advisories, timeout_seconds, language_servers: languageServers } = this.#options.settings().environment;
    return {
      strict,
      setupSeconds: timeout_seconds,
      languageServers,
      advisories: advisories === "" ? join(this.#options.dataDir, "advisories") : advisories,
    };
  }

  nix(): NixSetup {
    const { settings, dataDir, uid } = this.#options;
    return nixSetup({ settings: settings().environment, dataDir, uid });
  }

  /** Name of a place among generations: sandboxes of different providers can show different things. */
  project(place: EnvironmentPlace): string {
    return `${this.#providerOf(place)}:${place.workspace}`;
  }

  /** Loaded where sandboxes have images. */
  async #images(provider: string): Promise<SandboxImages | undefined> {
    if (provider !== "docker") return undefined;
    const { DockerImages } = await import("@guildhall/sandbox");
    return new DockerImages(this.#options.settings().sandbox.docker_host);
  }

  #providerOf({ provider }: EnvironmentPlace): string {
    return provider === "" ? this.#options.settings().sandbox.provider : provider;
  }
}

/** What an environment is made of has not been removed. */
export function isThere({ mounts, roots = [] }: Environment): boolean {
  return [...mounts.map(({ source }) => source), ...roots].every((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}

/** How long an answer holds for those who ask again, milliseconds. */
const FRESH_MS = 1_000;
