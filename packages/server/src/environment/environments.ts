import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import {
  type Environment,
  type EnvironmentKind,
  type Ids,
  type ProjectFacts,
  type SandboxProvider,
  type SandboxToolchain,
  type ToolVersion,
} from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";

import { nixSetup } from "./nix-setup.ts";
import { stampOf, ToolStore } from "./tool-store.ts";

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
  awareness: string;
}

/** Where an environment is wanted. */
export interface EnvironmentPlace {
  workspace: string;
  /** Sandbox provider; empty: the configured one. */
  provider: string;
}

/** The environments of a daemon's projects, resolved when asked for. */
export class Environments {
  readonly #options: EnvironmentsOptions;
  readonly #tools: ToolStore;
  /** One session asks several times while it starts. */
  readonly #recent = new Map<string, { until: number; known: Promise<KnownEnvironment> }>();

  constructor(options: EnvironmentsOptions) {
    this.#options = options;
    this.#tools = new ToolStore(join(options.stateDir, "tools.json"));
  }

  /** Throws what a source that the settings name throws; otherwise there always is one. */
  async resolve(place: EnvironmentPlace): Promise<KnownEnvironment> {
    const key = JSON.stringify(place);
    const recent = this.#recent.get(key);
    if (recent !== undefined && performance.now() < recent.until) return await recent.known;
    const known = this.#resolve(place);
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

  async #resolve({ workspace, provider }: EnvironmentPlace): Promise<KnownEnvironment> {
    const {
      awarenessBlock,
      chooseEnvironment,
      completeEnvironment,
      detectProject,
      hostFiles,
      hostSource,
      nixSource,
      toolchainSource,
      toolNames,
    } = await import("@guildhall/environment");
    const { home, settings } = this.#options;
    const files = hostFiles(workspace);
    const facts = await detectProject(files);
    const asked = settings().environment.source;
    const chosen = await chooseEnvironment(
      [
        nixSource({
          setup: nixSetup({ settings: settings().environment, dataDir: this.#options.dataDir, uid: this.#options.uid }),
          cacheFile: join(this.#options.stateDir, "nix.json"),
          sandbox: abilitiesOf(provider === "" ? settings().sandbox.provider : provider),
        }),
        toolchainSource({ home }),
        hostSource,
      ],
      {
        workspace,
        facts,
        files,
        trusted: this.#options.isTrusted(workspace),
        signal: new AbortController().signal,
        progress: (line) => this.#options.progress(`${workspace}: ${line}`),
      },
      asked === "auto" ? undefined : (asked satisfies EnvironmentKind),
    );
    const tools = await this.#toolsOf(chosen, toolNames(facts), provider);
    const environment = completeEnvironment(chosen, facts, tools, home);
    const git = await gitLine(files.read);
    const surrounding = { platform: platform(), languageServers: [], ports: [], ...(git === undefined ? {} : { git }) };
    return { environment, facts, awareness: awarenessBlock(environment, facts, surrounding) };
  }

  /** Versions of the programs that the environment has; asked in a sandbox of their own unless they are known. */
  async #toolsOf(environment: SandboxToolchain & { variables: Readonly<Record<string, string>> }, names: string[], provider: string) {
    const { stateDir, ids } = this.#options;
    const { path, mounts, pure, variables } = environment;
    const chosen = await this.#options.provider(provider);
    const inside = [...path, ...(pure ? [] : SYSTEM_DIRECTORIES)];
    const onHost = inside.map((directory) => {
      const mount = mounts.find(({ at }) => directory === at || directory.startsWith(`${at}/`));
      return mount === undefined ? directory : mount.source + directory.slice(mount.at.length);
    });
    const stamp = stampOf(names, onHost, [chosen.name, path, pure, variables, TOOLS_FORMAT]);
    const known = this.#tools.get(stamp);
    if (known !== undefined) return known;
    const { probeTools } = await import("@guildhall/environment");
    const workspace = join(stateDir, "probe");
    mkdirSync(workspace, { recursive: true, mode: 0o700 });
    const sandbox = await chosen.create({ id: ids.next("sbx"), workspace, env: { ...variables }, toolchain: { path, mounts, pure } });
    try {
      const tools: ToolVersion[] = await probeTools(sandbox, names, { shell: "/run/guildhall/bin/bash", pure });
      this.#tools.set(stamp, tools);
      return tools;
    } finally {
      await sandbox.dispose();
    }
  }
}

/** What the sandboxes of a provider can show of an environment. */
function abilitiesOf(provider: string): { mounts: boolean; pure: boolean } {
  return { mounts: provider !== "host", pure: provider === "bubblewrap" };
}

/** How long an answer holds for those who ask again, milliseconds. */
const FRESH_MS = 1_000;

/** Goes up when programs are asked otherwise. */
const TOOLS_FORMAT = 1;

const SYSTEM_DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** `linux x64, Debian GNU/Linux 12 (bookworm)`. */
function platform(): string {
  let name = "";
  try {
    name = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "";
  } catch {
    // not every system has one
  }
  return `${process.platform} ${process.arch}${name === "" ? "" : `, ${name}`}`;
}

/** Branch and commit by git's own files: no git runs, and no configuration of the repository takes effect. */
async function gitLine(read: (path: string) => Promise<string | undefined>): Promise<string | undefined> {
  const head = (await read(".git/HEAD"))?.trim();
  if (head === undefined) return undefined;
  const ref = /^ref: refs\/heads\/(.+)$/.exec(head)?.[1];
  if (ref === undefined) return `detached at ${head.slice(0, 12)}`;
  const commit = (await read(`.git/refs/heads/${ref}`))?.trim() ?? packed((await read(".git/packed-refs")) ?? "", ref);
  return `branch ${ref}${commit === undefined ? "" : ` at ${commit.slice(0, 12)}`}`;
}

function packed(text: string, ref: string): string | undefined {
  return text
    .split("\n")
    .find((line) => line.endsWith(` refs/heads/${ref}`))
    ?.split(" ")[0];
}
