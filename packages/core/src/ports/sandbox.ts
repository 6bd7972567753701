/** Hard limits of a sandbox; undefined: the provider's default, which is never “none” for memory and processes. */
export interface SandboxLimits {
  /** CPU time of one execution, seconds. */
  cpuSeconds?: number;
  /** Share of CPUs of the whole sandbox: 1.5 is one and a half cores. */
  cpus?: number;
  /** Memory of the whole sandbox, bytes. */
  memoryBytes?: number;
  processes?: number;
  /** Largest file that a process may write, bytes. */
  fileBytes?: number;
  openFiles?: number;
  /**
   * What the whole sandbox may add to the file system of its workspace, bytes; what others write there meanwhile counts too. Kept by looking: a
   * fast writer gets some tens of megabytes further before it is ended. Whatever is asked for, some space is left to everybody else.
   */
  diskBytes?: number;
  /** The same, in files and directories. */
  diskFiles?: number;
  /** Wall time of one execution, seconds. */
  wallSeconds?: number;
}

export interface SandboxSpec {
  /** Unique; used in names of cgroups and directories. */
  id: string;
  /** Absolute host path; at the same path inside. */
  workspace: string;
  /**
   * Where the files of the workspace really are, when not there: a directory of the host that stands in its place inside. A provider that cannot
   * do so throws `unsupported`. Default: the workspace itself.
   */
  source?: string;
  /** Paths within the workspace that are read-only inside (relative). The provider adds `.git/hooks`, `.git/config` and the like by itself. */
  readOnly?: string[];
  /** Of these, and of `.guildhall`, what is not to be read-only after all: what an owner has still to take away. */
  writable?: string[];
  env?: Record<string, string>;
  /**
   * The only way out of the sandbox, where there is one; default: no network at all. A directory of the host with `proxy`, the Unix socket of an
   * HTTP proxy, `ca.pem`, the authority that it speaks for, and `bundle.pem`, the same with the system's. Inside, the usual variables point
   * to it, before `env`. A provider that does not isolate from the network leaves it aside.
   */
  wayOut?: { directory: string };
  /** Programs beside the provider's own; default none. */
  toolchain?: SandboxToolchain;
  limits?: SandboxLimits;
  /** The init kills everything when it has not heard from its owner for this long, by its own monotonic clock. */
  leaseMs?: number;
}

/** Programs that a sandbox has beside its provider's own, read-only. */
export interface SandboxToolchain {
  /** Absolute directories inside, before the provider's own search path. */
  path: readonly string[];
  /** Directories of the host and where they stand inside. A provider that mounts nothing (`host`) wants `at` to be `source`. */
  mounts: ReadonlyArray<{ source: string; at: string }>;
  /** Nothing of the machine's own programs is to be seen: `path`, what is mounted and the toolkit are all there is. Throws `unsupported` where that cannot be. */
  pure: boolean;
  /** Image whose system the sandbox has, by a name that the provider knows. A provider without images throws `unsupported`. */
  image?: string;
  /** What runs beside the sandbox, started in this order. A provider without images throws `unsupported`. */
  services?: readonly SandboxService[];
  /** Directories that the sandbox has together with services; they are its user's. A provider without images throws `unsupported`. */
  volumes?: readonly SandboxVolume[];
}

/** A directory that sandbox and services may have together, by name. It begins as the image has it, and is gone with the sandbox. */
export interface SandboxVolume {
  name: string;
  /** Absolute, inside; of the sandbox's own also relative to the workspace, where it hides what lies there. */
  at: string;
  readOnly?: boolean;
}

/**
 * A program of an image of its own beside a sandbox, a database for example: in the sandbox's network, under its name, and gone with it. One that does
 * not start is told in `Sandbox.beside`.
 */
export interface SandboxService {
  /** Also its host name, which means the sandbox's own loopback. */
  name: string;
  /** By a name that the provider knows. */
  image: string;
  env: Readonly<Record<string, string>>;
  /** Undefined, of each of these: as the image has it. */
  command?: readonly string[];
  entrypoint?: readonly string[];
  user?: string;
  directory?: string;
  /** How it is asked whether it is well: `["CMD", …]`, `["CMD-SHELL", line]` or `["NONE"]`. The sandbox waits for it. */
  health?: { test: readonly string[]; intervalSeconds?: number; timeoutSeconds?: number; startSeconds?: number; retries?: number };
  volumes?: readonly SandboxVolume[];
  /** Absolute directories that are memory. */
  temporary?: readonly string[];
  /** Put in its place before it starts: absolute path inside, text, permission bits. */
  files?: ReadonlyArray<{ at: string; text: string; mode: number }>;
}

export interface ExecSpec {
  argv: [string, ...string[]];
  /** Absolute path inside; default the workspace. */
  cwd?: string;
  /** Whole environment of the process, on top of the sandbox's. */
  env?: Record<string, string>;
  /** A terminal of its own (stdin, stdout and stderr are it); default pipes. */
  terminal?: { rows: number; columns: number };
  /** With pipes: false gives an empty standard input. Default false. */
  input?: boolean;
  /**
   * A further pipe from the process, open in it as descriptor 3, delivered as stream `control`. How a shell says that a command
   * ended without anybody reading its output for marks.
   */
  control?: boolean;
  limits?: Pick<SandboxLimits, "cpuSeconds" | "fileBytes" | "openFiles" | "wallSeconds">;
  /** Leave it running when this execution's handle is closed or its signal aborts. Default false. */
  detached?: boolean;
}

export type OutputStream = "stdout" | "stderr" | "control";

export interface OutputChunk {
  stream: OutputStream;
  bytes: Uint8Array;
}

export interface ExitStatus {
  /** Exit code; undefined when a signal ended it. */
  code: number | undefined;
  /** `SIGKILL`, … */
  signal: string | undefined;
  /** Limit that ended it: `wall`, `cpu`, `memory`, `processes`, `disk`, `fileSize`, `lease`. */
  limit: string | undefined;
  /** User and system time, milliseconds. */
  cpuMs: number;
  maxRssBytes: number;
}

/** A process that the sandbox's init started. */
export interface Execution {
  readonly pid: number;
  /**
   * Output in the order in which it was written, stream by stream; ends when every writer has closed it. Not read: the process is
   * held back after a bounded buffer, nothing is lost and nothing grows.
   */
  readonly output: AsyncIterable<OutputChunk>;
  /** Resolves when the process has ended, whether or not others hold its output open. Never rejects for how it ended. */
  readonly exit: Promise<ExitStatus>;
  /** Waits while the process does not read. Throws `failed_precondition` when there is no input. */
  write(bytes: Uint8Array): Promise<void>;
  closeInput(): Promise<void>;
  /** To the terminal's foreground group, to the process's own group, or to all that descends from it. */
  signal(name: string, to?: "foreground" | "group" | "all"): Promise<void>;
  resize(rows: number, columns: number): Promise<void>;
  /** Kills what still runs of it and frees its buffers. */
  close(): Promise<void>;
}

export interface FileStat {
  kind: "file" | "directory" | "symlink" | "other";
  size: number;
  /** Permission bits. */
  mode: number;
  /** Milliseconds with their fraction: as fine as the file system tells. */
  mtimeMs: number;
  /** Last change of content or inode, where the provider can tell; what makes a cached reading of a file trustworthy. */
  ctimeMs?: number;
  /** Number of hard links. */
  links: number;
  uid: number;
  gid: number;
  inode: bigint;
}

export interface DirectoryEntry {
  name: string;
  kind: FileStat["kind"];
}

/**
 * Files as the sandbox sees them, by the init inside: no host-side call follows a link that an agent planted. Paths are absolute, or
 * relative to the workspace. Errors: `not_found`, `already_exists`, `permission_denied`, `failed_precondition` (wrong kind), `storage_full`.
 * Names that are not UTF-8 are carried as `bytesToPath` writes them, in both directions, so that every file can be reached.
 */
export interface SandboxFiles {
  /** Does not follow a final link unless `follow`. */
  stat(path: string, options?: { follow?: boolean }): Promise<FileStat>;
  /** Real path with every link resolved. */
  realpath(path: string): Promise<string>;
  read(path: string, range?: { offset?: number; length?: number }): Promise<Uint8Array>;
  /**
   * Writes in place: an existing file keeps its mode, owner, hard links, and is written through a symbolic link. `exclusive`: throws `already_exists`.
   * A failure half way (disk full) leaves the former content.
   */
  write(path: string, bytes: Uint8Array, options?: { mode?: number; exclusive?: boolean; parents?: boolean }): Promise<void>;
  list(path: string): Promise<DirectoryEntry[]>;
  mkdir(path: string, options?: { parents?: boolean; mode?: number }): Promise<void>;
  remove(path: string, options?: { recursive?: boolean }): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  readlink(path: string): Promise<string>;
  chmod(path: string, mode: number): Promise<void>;
  /**
   * Every entry below `path` in one go, depth first; entries' paths are relative to `path`. `skip` names directories not entered, by
   * name or by path relative to `path`; with a leading slash (`/build`) only by path. What vanishes meanwhile is left out; so is what lies below a directory that cannot be read.
   */
  walk(path: string, options?: { skip?: string[] }): AsyncIterable<Array<{ path: string; stat: FileStat }>>;
}

/**
 * What changed in the workspace, from inside or outside, since the last call. `overflow`: too much to tell; look at everything.
 * Covers directories and files of which the caller said `track`.
 */
export interface ChangeTracker {
  /**
   * Starts watching these directories (relative, "" is the workspace; not recursive: the caller knows what to leave out), and files, whose
   * changes are then told whichever of their names was used. Those that are watched already cost nothing; those that are gone are passed
   * over. When the system has no more watches, `changes` tells of an overflow from then on.
   */
  track(paths: string[]): Promise<void>;
  /** Relative paths touched since the last call, all that happened before the call included. New directories appear as paths: track them in turn. */
  changes(): Promise<{ overflow: boolean; paths: string[] }>;
}

export interface SandboxUsage {
  memoryBytes: number;
  processes: number;
  /** Of them, those that commands have started and that still run or wait. Absent: not told. */
  left?: number;
  cpuMs: number;
  /** The same at two looks: nothing inside has run in between. Absent: that cannot be told, since something runs just now. */
  activity?: string;
}

/** A file that both the sandbox and somebody outside have changed. */
export interface SandboxConflict {
  /** Relative to the workspace. It holds what the one outside wrote, for the sandbox too. */
  path: string;
  /** Where the host keeps what the sandbox had written. */
  kept: string;
}

export interface Sandbox {
  readonly id: string;
  readonly workspace: string;
  readonly provider: string;
  /** What holds for it, the provider's defaults included; undefined: not told. */
  readonly limits?: SandboxLimits;
  /**
   * How what runs inside leaves it: a port on its loopback behind which the proxy of `SandboxSpec.wayOut` speaks, and where inside that
   * proxy's authority lies (PEM). Undefined: there is no network.
   */
  readonly wayOut?: { port: number; authority: string };
  /** What became of the services beside it: one line each. Absent: none was asked for. */
  readonly beside?: readonly string[];
  readonly files: SandboxFiles;
  readonly changes: ChangeTracker;
  exec(spec: ExecSpec, signal?: AbortSignal): Promise<Execution>;
  /** A byte stream to a port on the sandbox's loopback. */
  connect(port: number): Promise<{ readable: AsyncIterable<Uint8Array>; write(bytes: Uint8Array): Promise<void>; close(): Promise<void> }>;
  usage(): Promise<SandboxUsage>;
  /** Kills all that runs inside, however much that is. Resolves when nothing of it runs any more; the sandbox lives on. */
  endAll(): Promise<void>;
  /**
   * What executions get in their environment from now on, over what they had; undefined takes a variable away. Those that run keep theirs.
   * Absent: it cannot be changed.
   */
  changeEnvironment?(changes: Readonly<Record<string, string | undefined>>): void;
  /** All such changes so far, another object after each; undefined: none. */
  readonly environmentChanges?: Readonly<Record<string, string | undefined>> | undefined;
  /** Tells the init that the owner lives; done by the provider itself at a third of `leaseMs` unless the host process is stuck. */
  renew(): Promise<void>;
  /**
   * Where the sandbox works on a copy of the workspace: brings what changed on either side to the other, and tells of what both had
   * changed since the last time. For points at which nothing is being written; `dispose` does it as well. Absent: there is no copy.
   */
  settle?(): Promise<SandboxConflict[]>;
  /** Relative paths that `settle` has written, or removed, in the original since the last call; nobody else did. Absent: there is no copy. */
  brought?(): readonly string[];
  /**
   * Takes from repositories below the workspace what git would run or take further configuration from, and puts it aside beside where it was.
   * `places`: relative, `.git` directories and files or git directories of other names; what is no repository is passed over. `found`: they were
   * there `before` the sandbox did anything, or came into sight `since`; of the former only what was changed since is taken. Returns the git
   * directories that it changed, relative. Absent: nobody outside runs git there.
   */
  disarm?(places: readonly string[], found: "before" | "since"): Promise<string[]>;
  /** Resolves, with the reason, when the sandbox is gone for whatever reason. */
  readonly gone: Promise<string>;
  /** Kills every process and frees everything; nothing survives. Idempotent. */
  dispose(): Promise<void>;
}

export interface CapabilityReport {
  provider: string;
  usable: boolean;
  /** One a capability: `user-namespaces`, `seccomp`, `cgroup-memory`, … */
  capabilities: Array<{ name: string; available: boolean; detail: string; remedy?: string }>;
}

/** Isolation provider. Never weaker than asked for: what cannot be enforced makes `create` throw, with the remedy. */
export interface SandboxProvider {
  readonly name: string;
  probe(): Promise<CapabilityReport>;
  create(spec: SandboxSpec): Promise<Sandbox>;
  /**
   * Keeps a few sandboxes ready for whoever comes with these limits, where the provider was made so; those are as strong as others. Resolves when
   * they are ready or cannot be. Absent: it prepares none.
   */
  prepare?(limits: SandboxLimits): Promise<void>;
  close(): Promise<void>;
}
