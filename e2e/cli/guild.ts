import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { resolvePaths } from "@guildhall/core/paths";
import { removeTree } from "@guildhall/core/testing";

/** The repository. */
export const root = dirname(dirname(import.meta.dirname));
/** The client: its source, run unbuilt, or with `GUILD_TEST_BUNDLE` what ships. */
export const program = join(root, process.env["GUILD_TEST_BUNDLE"] ? "dist/guild.js" : "packages/cli/src/main.ts");

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Started {
  readonly child: ChildProcessWithoutNullStreams;
  readonly finished: Promise<Finished>;
  /** Resolves when stdout so far matches. */
  until(pattern: RegExp): Promise<string>;
}

export interface StartOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Written to standard input, which then ends. */
  input?: string;
  /** Run as this user, for tests that root runs. */
  uid?: number;
}

/** A home of its own for one test file: settings, data and daemon are nobody else's, and nothing is left of them. */
export class Home {
  readonly directory: string;
  readonly #uids = new Set<number>();

  readonly #enter: readonly string[];

  /** `enter`: a program, with arguments, that runs `guild` somewhere else, in another network for example. */
  constructor(parent = tmpdir(), enter: readonly string[] = []) {
    this.#enter = enter;
    this.directory = mkdtempSync(join(parent, "guild-e2e-"));
  }

  /** Environment with nothing of the caller's but the path. */
  get env(): Record<string, string> {
    const { PATH = "", GUILD_TEST_RUN } = process.env;
    const marked: Record<string, string> = GUILD_TEST_RUN === undefined ? {} : { GUILD_TEST_RUN };
    return { PATH, HOME: this.directory, GUILD_HOME: join(this.directory, "guild"), TMPDIR: tmpdir(), ...marked };
  }

  start(args: string[], options: StartOptions = {}): Started {
    this.#uids.add(options.uid ?? process.getuid?.() ?? 0);
    const [command = "", ...rest] = [...this.#enter, process.execPath, program, ...args];
    const child = spawn(command, rest, {
      cwd: options.cwd ?? this.directory,
      env: { ...this.env, ...options.env },
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    });
    child.stdin.on("error", () => undefined).end(options.input ?? "");
    return follow(child);
  }

  /** Runs `guild` to its end. */
  guild(args: string[], options: StartOptions = {}): Promise<Finished> {
    return this.start(args, options).finished;
  }

  /** A file below the home; returns its path. */
  write(name: string, text: string): string {
    const file = join(this.directory, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return file;
  }

  /** A fresh copy of the sample whose test fails, a git repository with one commit. */
  sample(name = "mend"): string {
    const workspace = mkdtempSync(join(this.directory, `${name}-`));
    cpSync(join(root, "samples", name), workspace, { recursive: true });
    repository(workspace);
    return workspace;
  }

  /** Ends the daemon and its database, and removes everything. */
  async remove(): Promise<void> {
    await this.guild(["down", "--now"]);
    for (const uid of this.#uids) {
      const { runtime } = resolvePaths({ env: this.env, home: this.directory, uid, tmp: tmpdir() });
      rmSync(runtime, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    }
    removeTree(this.directory);
  }
}

/** Makes a directory a git repository with all its files in one commit. */
export function repository(directory: string): void {
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgSign=false", ...args], {
      cwd: directory,
      stdio: "pipe",
    });
  git("init", "--quiet", "--initial-branch=main");
  git("add", "--all");
  git("commit", "--quiet", "--allow-empty", "--message", "start");
}

/** The objects of `--json` output. */
export function jsonLines(stdout: string): Array<Record<string, unknown>> {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function follow(child: ChildProcessWithoutNullStreams): Started {
  const finished = { code: null as number | null, stdout: "", stderr: "" };
  const waiting = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    finished.stdout += text;
    for (const look of waiting) look();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (finished.stderr += text));
  const ended = new Promise<Finished>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      finished.code = code;
      resolve(finished);
      for (const look of waiting) look();
    });
  });
  return {
    child,
    finished: ended,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (pattern.test(finished.stdout)) resolve(finished.stdout);
          else if (child.exitCode !== null) reject(new Error(`ended before ${pattern}: ${finished.stdout}\n${finished.stderr}`));
          else return;
          waiting.delete(look);
        };
        waiting.add(look);
        look();
      }),
  };
}
