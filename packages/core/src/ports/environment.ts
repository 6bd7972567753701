import type { SandboxService, SandboxVolume } from "./sandbox.ts";

/** A program that an environment has, or that a project asks for. */
export interface ToolVersion {
  name: string;
  /** As the program itself says it; empty: it does not say. */
  version: string;
  /** Where it was found, in the sandbox; undefined: it is not there. */
  path?: string;
  /** What the project asks for, where it does. */
  wanted?: string;
  /** File that asks for it. */
  wantedBy?: string;
}

export type CommandPurpose = "install" | "build" | "test" | "lint" | "format" | "typecheck" | "run";

/** How something is done in a project. */
export interface ProjectCommand {
  purpose: CommandPurpose;
  /** A line for a shell in the ecosystem's directory. */
  command: string;
}

/** One build system or package manager in one directory of a project. */
export interface EcosystemFacts {
  /** `node`, `python`, `rust`, `go`, … */
  ecosystem: string;
  /** Relative to the project; empty: its root. */
  directory: string;
  /** Package manager or build tool: `pnpm`, `cargo`, `make`, … */
  manager: string;
  /** File by which it was found, relative to `directory`. */
  manifest: string;
  /** Relative to `directory`; undefined: nothing pins the versions. */
  lockFile?: string;
  /** Name and command line of what the project itself defines: npm scripts, make targets, tasks. */
  scripts: Readonly<Record<string, string>>;
  commands: readonly ProjectCommand[];
}

/** A service that the project says it needs beside itself. */
export interface ServiceFacts {
  name: string;
  image: string;
  /** As published on the machine. */
  ports: readonly number[];
  /** File that declares it. */
  file: string;
}

/** What a project's own files say about it. Nothing of them is run to learn it. */
export interface ProjectFacts {
  ecosystems: readonly EcosystemFacts[];
  services: readonly ServiceFacts[];
  /** Tools that version files ask for; `path` is never set. */
  declared: readonly ToolVersion[];
  /** Files that could not be read or understood: one line each. */
  problems: readonly string[];
}

export interface EnvironmentMount {
  /** Directory of the machine. */
  source: string;
  /** Where it stands inside, read-only. */
  at: string;
}

/** One thing that a project wants done when its environment begins. */
export interface SetupCommand {
  /** `postCreateCommand`, … */
  name: string;
  argv: readonly [string, ...string[]];
}

/** Where an environment comes from. */
export type EnvironmentKind = "nix" | "devcontainer" | "toolchain" | "host";

/**
 * What commands of a session run in, as one value. Two environments with the same hash have the same variables, the same tools at the
 * same versions and run the same hook.
 */
export interface Environment {
  kind: EnvironmentKind;
  /** `flake.nix`, `.tool-versions + .nvmrc`, `this machine`, … */
  source: string;
  /** Why this source and no other, in words for a person. */
  reason: string;
  /** `sha256:…` over everything below but facts and differences; the same on every machine. */
  hash: string;
  /** Number of the generation in its project; 0: it is kept by none. */
  generation: number;
  /** Without PATH. */
  variables: Readonly<Record<string, string>>;
  /** Directories before the sandbox's own search path. */
  path: readonly string[];
  /** Nothing of the machine's own programs is wanted: `path` is all there is beside the toolkit. */
  pure: boolean;
  mounts: readonly EnvironmentMount[];
  /** Shell code that runs once in the sandbox, before the first command; what it exports counts. Empty: none. */
  shellHook: string;
  /** What runs in the sandbox after the hook, one after another, before the first command. */
  setup?: readonly SetupCommand[];
  /** Image whose system sandboxes have, named by its content; undefined: the provider's own. */
  image?: string;
  /** What runs beside it, started in this order. */
  services?: readonly SandboxService[];
  /** Directories that it has together with them. */
  volumes?: readonly SandboxVolume[];
  /** Files that keep what it is made of from being collected; not part of the hash. */
  roots?: readonly string[];
  tools: readonly ToolVersion[];
  /** Where this is not what the project asks for: one line each. */
  differences: readonly string[];
}

export interface ResolveRequest {
  /** Absolute real path. */
  workspace: string;
  facts: ProjectFacts;
  files: ProjectFiles;
  /** A person has trusted what the project brings: its code may be evaluated. */
  trusted: boolean;
  signal: AbortSignal;
  /** Lines for people while something is built. */
  progress(line: string): void;
}

/** An environment whose hash and generation are not told yet. */
export type ResolvedEnvironment = Omit<Environment, "hash" | "generation" | "reason" | "tools"> & { tools?: readonly ToolVersion[] };

/** Something that can turn what a project declares into an environment. */
export interface EnvironmentSource {
  readonly kind: EnvironmentKind;
  /** The file or files that ask for this source, for people; undefined: the project does not. Runs nothing. */
  claims(request: Pick<ResolveRequest, "files" | "facts">): Promise<string | undefined>;
  /**
   * The environment; the same for the same project and tools. Throws `failed_precondition` when it cannot be had here or is not trusted,
   * `invalid_argument` when the project's own files are wrong, `deadline_exceeded`, `cancelled`: always in one line, with nothing half done.
   */
  resolve(request: ResolveRequest): Promise<ResolvedEnvironment>;
}

/** Files of a project, read without running anything and without leaving it. */
export interface ProjectFiles {
  /** Entries of a directory, relative to the project (empty: its root), by name in order; none when it is not there. */
  list(directory: string): Promise<ReadonlyArray<{ name: string; kind: "file" | "directory" | "other" }>>;
  /** UTF-8 text of a regular file; undefined: not there, no file, not readable or too large to be what it claims to be. */
  read(path: string): Promise<string | undefined>;
}
