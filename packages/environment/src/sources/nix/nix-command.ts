import { spawn } from "node:child_process";
import { chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";

/** How Nix is run: which, as whom, over which store. */
export interface NixSetup {
  /** `nix`, a path, or a program that runs it. */
  command: readonly [string, ...string[]];
  /** Root of a store of our own, as `local?root=` takes it; undefined: the system's store, through its daemon. */
  storeRoot: string | undefined;
  /** A directory that the user who runs Nix owns: its home, and the copies that are evaluated. */
  directory: string;
  /** Runs as this user; undefined: as the caller. */
  user: { uid: number; gid: number } | undefined;
  substituters: readonly string[];
  trustedKeys: readonly string[];
  /** What stands for inputs of flakes: `nixpkgs=path:/…`. */
  inputs?: readonly string[];
  /** After this long a build is given up, milliseconds. */
  timeoutMs: number;
}

export interface NixRun {
  signal: AbortSignal;
  /** Lines of Nix for people: what is fetched and built. */
  progress(line: string): void;
  /** The user who runs Nix must have a name, as ssh wants it: where the machine knows none, one is given for this run. Default false. */
  named?: boolean;
}

const MOST_OUTPUT = 32 * 1024 * 1024;

/**
 * Runs the real `nix` with settings of ours alone: flakes on, builds in Nix's sandbox or not at all, no registry, no configuration of the
 * user or the flake. Resolves to its standard output. Throws one line: `failed_precondition` when Nix is missing, `storage_full`,
 * `deadline_exceeded`, `cancelled`, `invalid_argument` with what Nix says is wrong.
 */
export async function runNix(setup: NixSetup, args: readonly string[], run: NixRun): Promise<string> {
  run.signal.throwIfAborted();
  const { user, storeRoot } = setup;
  prepare(setup);
  const [program, ...first] = [
    ...(user === undefined ? [] : asUser(user, run.named === true ? named(setup, user.uid) : [])),
    ...setup.command,
  ];
  if (program === undefined) throw new GuildError("internal", "no command for Nix");
  const store = storeRoot === undefined ? [] : ["--store", `local?root=${storeRoot}`];
  const timeout = AbortSignal.timeout(setup.timeoutMs);
  const child = spawn(program, [...first, ...store, ...args], {
    cwd: setup.directory,
    env: environmentOf(setup),
    stdio: ["ignore", "pipe", "pipe"],
    signal: AbortSignal.any([run.signal, timeout]),
    killSignal: "SIGKILL",
  });
  const out: Buffer[] = [];
  let size = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MOST_OUTPUT) out.push(chunk);
  });
  const said = linesOf(child.stderr, run.progress);
  const ended = await new Promise<{ code: number | null } | Error>((resolve) => {
    child.once("error", resolve);
    child.once("close", (code) => resolve({ code }));
  });
  if (timeout.aborted) {
    throw new GuildError("deadline_exceeded", `Nix was not done after ${Math.round(setup.timeoutMs / 1000)} s`, {
      remedy: "raise environment.timeout_seconds, or build it by hand first",
    });
  }
  run.signal.throwIfAborted();
  if (ended instanceof Error) throw missing(ended);
  if (ended.code !== 0) throw explained(said());
  if (size > MOST_OUTPUT) throw new GuildError("invalid_argument", "the environment is larger than can be taken in");
  return Buffer.concat(out).toString("utf8");
}

function asUser({ uid, gid }: { uid: number; gid: number }, before: readonly string[]): string[] {
  return [...before, "setpriv", "--reuid", String(uid), "--regid", String(gid), "--clear-groups", "--no-new-privs", "--"];
}

/**
 * What goes before a command of root's so that a user without a name has one: the machine's users and this one, over /etc/passwd, in a view of the file system
 * that is this command's alone. Empty: it has a name.
 */
function named({ directory }: NixSetup, uid: number): string[] {
  const users = readFileSync("/etc/passwd", "utf8");
  if (users.split("\n").some((line) => line.split(":")[2] === String(uid))) return [];
  const file = join(directory, "passwd");
  writeFileSync(file, `${users.trimEnd()}\n${NAME}:x:${uid}:${uid}::${directory}/home:/bin/sh\n`, { mode: 0o644 });
  const script = 'mount --bind "$0" /etc/passwd && exec "$@"';
  return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script, file];
}

const NAME = "guildhall-nix";

/** Nothing of the caller's: neither variables nor configuration files. */
function environmentOf({ directory, substituters, trustedKeys, storeRoot }: NixSetup): Record<string, string> {
  const settings = [
    "experimental-features = nix-command flakes",
    "flake-registry = ",
    "accept-flake-config = false",
    "warn-dirty = false",
    `substituters = ${substituters.join(" ")}`,
    `trusted-public-keys = ${trustedKeys.join(" ")}`,
    "sandbox = true",
    "sandbox-fallback = false",
    ...(storeRoot === undefined ? [] : ["build-users-group ="]),
  ];
  return {
    HOME: `${directory}/home`,
    USER: NAME,
    PATH: "/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin:/usr/local/bin:/usr/bin:/bin",
    NIX_CONFIG: settings.join("\n"),
    NIX_CONF_DIR: `${directory}/home`,
    NIX_USER_CONF_FILES: "",
    LANG: "C.UTF-8",
  };
}

/** Gives lines on as they come; the result tells the last ones. */
function linesOf(stream: NodeJS.ReadableStream, tell: (line: string) => void): () => string[] {
  const last: string[] = [];
  let rest = "";
  const take = (line: string): void => {
    const plain = line.replaceAll(/\x1b\[[0-9;]*[A-Za-z]/g, "").trim();
    if (plain === "") return;
    last.push(plain);
    if (last.length > 60) last.shift();
    tell(plain.slice(0, 300));
  };
  stream.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = (lines.pop() ?? "").slice(-4_096);
    for (const line of lines) take(line);
  });
  return () => {
    if (rest !== "") take(rest);
    rest = "";
    return last;
  };
}

function missing(error?: Error): GuildError {
  const absent = error === undefined || ("code" in error && error.code === "ENOENT");
  return new GuildError("failed_precondition", absent ? "Nix is not installed here" : `Nix cannot be started: ${error.message}`, {
    remedy: "install it (Debian: apt-get install nix-bin), or set environment.source to toolchain",
    cause: error,
  });
}

/** What Nix says, on one line: its first error and what that is about. */
function explained(lines: readonly string[]): GuildError {
  const all = lines.join("\n");
  if (/^setpriv: failed to execute/m.test(all)) return missing();
  if (/No space left on device|disk full|database or disk is full/i.test(all)) {
    return storeFull();
  }
  // Newer ones begin with where they were, and come to what is wrong last.
  const [first, told] = ["error:", "error: "].map((word) => lines.findIndex((line) => line.startsWith(word)));
  const start = told === undefined || told === -1 ? (first ?? -1) : told;
  const said = lines
    .slice(Math.max(0, start), Math.max(0, start) + 4)
    .map((line) => line.replace(/^error:\s*/, ""))
    .join(" ")
    .replaceAll(/\s+/g, " ")
    .slice(0, 300);
  if (/lock file .* (needs|requires) |requires lock file changes|--no-update-lock-file/.test(all)) {
    return new GuildError("failed_precondition", "the flake's lock file is out of date", {
      remedy: "run nix flake lock in the project, and commit it",
    });
  }
  return new GuildError("invalid_argument", `Nix says: ${said === "" ? "nothing of why it failed" : said}`, {
    remedy: "mend the project's Nix files; until then its former environment holds",
  });
}

/** Of the disk that Nix works on. */
export function storeFull(cause?: Error): GuildError {
  return new GuildError("storage_full", "the disk of the Nix store is full", { remedy: "free space: guild env gc", cause });
}

/** The directories that Nix works in, owned by the user who runs it. */
function prepare({ directory, user, storeRoot }: NixSetup): void {
  for (const path of [
    directory,
    join(directory, "home"),
    join(directory, "copies"),
    join(directory, "roots"),
    ...(storeRoot === undefined ? [] : [storeRoot]),
  ]) {
    mkdirSync(path, { recursive: true, mode: 0o755 });
    if (user !== undefined) chownSync(path, user.uid, user.gid);
  }
}
