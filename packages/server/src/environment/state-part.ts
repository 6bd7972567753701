import { lstat, statfs } from "node:fs/promises";
import { join } from "node:path";

import {
  GuildError,
  type PartAction,
  type PartNotice,
  type ProjectFacts,
  type Sandbox,
  type SessionPart,
  type ToolResult,
} from "@guildhall/core";
import type * as environment from "@guildhall/environment";

import type { PartContext, PartFactory } from "../parts/session-parts.ts";
import type { Environments } from "./environments.ts";

type Library = typeof environment;

/** Tells the agent what changes around it while it works: files, branch, ports, pressure. */
export function statePart(environments: Environments): PartFactory {
  return {
    name: "state",
    async open(context) {
      const library = await import("@guildhall/environment");
      const { facts } = await environments.resolve(context);
      return new StatePart(library, context, facts);
    },
  };
}

/** Ports, processes and memory are looked at no more often than this, milliseconds, … */
const LOOK_MS = 1_000;
/** … unless actions have run for so long: what is started takes a while to listen. */
const LONG_MS = 100;

class StatePart implements SessionPart {
  readonly name = "state";
  readonly #library: Library;
  readonly #context: PartContext;
  readonly #watch: InstanceType<Library["WorkspaceWatch"]>;
  readonly #install: Record<string, string>;
  #ready = false;
  #running = 0;
  /** Touched while no action ran, and while one did. */
  readonly #outside = new Set<string>();
  readonly #during = new Set<string>();
  #overflow = false;
  /** Files that the agent has looked at or written. */
  readonly #known = new Set<string>();
  /** Of those, the ones that somebody else has changed since. */
  readonly #stale = new Set<string>();
  readonly #written = new Set<string>();
  /** Of a workspace that is worked on as a copy: what the copy has brought to it, and nobody else. */
  readonly #brought = new Set<string>();
  #sandbox: Sandbox | undefined;
  #head: environment.GitHead | undefined;
  /** An action since the last step may have moved it; what it was told and has printed says where to. */
  #usedGit = false;
  readonly #said: string[] = [];
  #inside: environment.InsideWatch | undefined;
  /** Files that the agent knows: how they were when it saw them. */
  readonly #stamps = new Map<string, string>();
  /** Said once: what is not watched. */
  readonly #unsaid: string[] = [];
  #nextLook = 0;
  /** Since when some action runs, and for how long actions have run since the last look. */
  #runningSince = 0;
  #ranMs = 0;

  constructor(library: Library, context: PartContext, facts: ProjectFacts) {
    this.#library = library;
    this.#context = context;
    const git = library.gitDirectory(context.workspace);
    this.#watch = new library.WorkspaceWatch(context.workspace, git === undefined ? {} : { git });
    this.#head = library.readGitHead(context.workspace);
    this.#install = Object.fromEntries(
      facts.ecosystems.flatMap(({ lockFile, commands }) => {
        const command = commands.find(({ purpose }) => purpose === "install")?.command;
        return lockFile === undefined || command === undefined ? [] : [[lockFile, command]];
      }),
    );
    // What listens and runs before the first action is nothing new.
    context.sandbox
      .then(async (sandbox) => {
        this.#sandbox = sandbox;
        this.#inside = await library.InsideWatch.begin(sandbox, () => spaceOf(context.workspace));
      })
      .catch((error: unknown) => this.#blind(error));
    this.#watch.ready.then(
      () => {
        this.#ready = true;
        if (this.#watch.incomplete) this.#unsaid.push(UNWATCHED(this.#watch.size));
      },
      (error: unknown) => this.#unsaid.push(`Files are not watched: ${GuildError.from(error).line}`),
    );
  }

  async beforeStep(): Promise<PartNotice[]> {
    await this.#collect(this.#outside);
    const head = this.#headChange();
    const inside = await this.#lookInside();
    // Of more than can be listed, the files that matter are compared one by one.
    if (this.#overflow) for (const path of this.#known) if (await this.#isOther(path)) this.#outside.add(path);
    const during = [...this.#during].filter((path) => this.#known.has(path) && !this.#written.has(path));
    const files = [...this.#outside].filter((path) => path !== ".git/HEAD");
    for (const path of [...during, ...files]) if (this.#known.has(path)) this.#stale.add(path);
    const text = this.#library.describeChanges({
      files,
      seen: [...during, ...files.filter((path) => this.#known.has(path))],
      overflow: this.#overflow,
      ...head,
      ...inside,
      pressure: [...this.#unsaid.splice(0), ...inside.pressure],
      install: this.#install,
    });
    this.#outside.clear();
    this.#during.clear();
    this.#written.clear();
    this.#brought.clear();
    this.#usedGit = false;
    this.#said.length = 0;
    this.#overflow = false;
    return text === undefined ? [] : [{ kind: "environment", text }];
  }

  /** A file that somebody else has changed is looked at before it is written again. */
  async beforeAction(action: PartAction): Promise<string | undefined> {
    if (this.#running === 0) await this.#collect(this.#outside);
    const targets = this.#targets(action);
    if (targets.write) {
      for (const path of targets.paths) {
        const touched = this.#stale.has(path) || (this.#known.has(path) && this.#outside.has(path));
        if (!touched && !(await this.#isOther(path))) continue;
        // What is changed once more before it is written is another again, whenever that is told.
        if (this.#known.has(path)) this.#stamps.set(path, await this.#stampOf(path));
        this.#stale.delete(path);
        this.#outside.delete(path);
        return `${path} was changed from outside this session after you last saw it; view it, then decide again`;
      }
    }
    if (this.#running === 0) this.#runningSince = performance.now();
    this.#running += 1;
    const words = wordsOf(action);
    this.#usedGit ||= words.some((word) => /\bgit\b/.test(word));
    this.#said.push(...words);
    return undefined;
  }

  async afterAction(action: PartAction, result: ToolResult): Promise<undefined> {
    this.#running = Math.max(0, this.#running - 1);
    if (this.#running === 0) this.#ranMs += performance.now() - this.#runningSince;
    this.#said.push(result.output);
    const { paths, write } = this.#targets(action);
    for (const path of paths) {
      this.#known.add(path);
      this.#stale.delete(path);
      if (write) this.#written.add(path);
      this.#stamps.set(path, await this.#stampOf(path));
    }
    // What the agent's own tools have written besides is no news; what it had not looked at again before stays so.
    for (const path of this.#own(this.#library.writtenPaths(action, result, this.#context.workspace))) {
      if (this.#stale.has(path)) continue;
      this.#written.add(path);
      if (this.#known.has(path)) this.#stamps.set(path, await this.#stampOf(path));
    }
    if (this.#running === 0) await this.#collect(this.#during);
  }

  /** Unless it was done a moment ago: steps that take milliseconds are not each worth it. */
  async #lookInside(): Promise<environment.InsideChanges> {
    if (this.#inside === undefined || (this.#ranMs < LONG_MS && performance.now() < this.#nextLook)) return NOTHING;
    this.#nextLook = performance.now() + LOOK_MS;
    this.#ranMs = 0;
    try {
      return await this.#inside.look();
    } catch (error) {
      this.#blind(error);
      return NOTHING;
    }
  }

  /** The session goes on without what cannot be seen; whoever needs a sandbox that is gone is told by it. */
  #blind(error: unknown): void {
    this.#inside = undefined;
    this.#unsaid.push(`Ports and processes cannot be watched: ${GuildError.from(error).line.slice(0, 200)}`);
  }

  /** Of the file that the agent sees: where it works on a copy, of that. */
  async #stampOf(path: string): Promise<string> {
    const full = join(this.#context.workspace, path);
    if (this.#sandbox?.settle !== undefined) {
      const inside = await this.#sandbox.files.stat(full, { follow: false }).catch(() => undefined); // not there
      return inside === undefined ? "" : `${inside.inode} ${inside.size} ${inside.mtimeMs}`;
    }
    const stat = await lstat(full).catch(() => undefined); // not there, or not ours to see
    return stat === undefined ? "" : `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`;
  }

  /** A known file is another than it was, whether or not anybody has told. */
  async #isOther(path: string): Promise<boolean> {
    const known = this.#stamps.get(path);
    return known !== undefined && known !== (await this.#stampOf(path));
  }

  async close(): Promise<void> {
    this.#watch.close();
  }

  async #collect(into: Set<string>): Promise<void> {
    if (!this.#ready) return;
    const { paths, overflow } = await this.#watch.take();
    for (const path of this.#sandbox?.brought?.() ?? []) this.#brought.add(path);
    for (const path of paths.keys()) if (!this.#brought.has(path)) into.add(path);
    this.#overflow ||= overflow;
  }

  #targets(action: PartAction): { paths: string[]; write: boolean } {
    const { workspace } = this.#context;
    const { paths, write } = this.#library.touchedPaths(action, workspace);
    return { paths: this.#own(paths), write };
  }

  /** Those of the workspace, relative to it. */
  #own(paths: readonly string[]): string[] {
    const { workspace } = this.#context;
    return paths.filter((path) => path.startsWith(`${workspace}/`)).map((path) => path.slice(workspace.length + 1));
  }

  /** A switched branch is told whoever switched it; a commit unless an action has said it, by its number or by what it is about. */
  #headChange(): Pick<environment.StateChanges, "branch" | "commit"> {
    const [outside, during] = [this.#outside.has(".git/HEAD"), this.#during.has(".git/HEAD")];
    if (!outside && !during) return {};
    const [from, to] = [this.#head, this.#library.readGitHead(this.#context.workspace)];
    this.#head = to;
    if (from === undefined || to === undefined) return {};
    if (from.branch !== to.branch) return { branch: { from: nameOf(from), to: nameOf(to) } };
    if (from.commit === to.commit || to.commit === undefined) return {};
    const moves = this.#library.readHeadMoves(this.#context.workspace, from.commit) ?? [{ commit: to.commit, why: "" }];
    const others = moves.filter((move) => !this.#hasSaid(move));
    if (others.length === 0) return {};
    const places = { from: from.commit?.slice(0, 12) ?? "no commit", to: to.commit.slice(0, 12) };
    const whys = others.flatMap(({ why }) => (why === "" ? [] : [why]));
    return { commit: { ...places, ...(during && this.#usedGit ? { during: whys } : {}) } };
  }

  /** An action names a commit by the beginning of its number, as git prints it, or by the line that it is about. */
  #hasSaid({ commit, why }: environment.HeadMove): boolean {
    const about = why.slice(why.indexOf(": ") + 2);
    return this.#said.some((text) => text.includes(commit.slice(0, 7)) || (about.length >= SHORTEST_SUBJECT && text.includes(about)));
  }
}

/** Whatever runs commands has them somewhere in its input; scripts that commit by themselves are told of, which does no harm. */
function wordsOf({ input }: PartAction): string[] {
  return typeof input === "object" && input !== null ? Object.values(input).filter((value) => typeof value === "string") : [];
}

/** Characters of a commit's first line by which it is known: shorter ones are everybody's. */
const SHORTEST_SUBJECT = 8;

function nameOf({ branch, commit }: environment.GitHead): string {
  return branch ?? `no branch (${commit?.slice(0, 12) ?? ""})`;
}

async function spaceOf(workspace: string): Promise<environment.DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(workspace);
  return { free: bavail * bsize, total: blocks * bsize };
}

const NOTHING: environment.InsideChanges = { opened: [], closed: [], began: [], ended: [], pressure: [] };

const UNWATCHED = (watched: number): string =>
  `The project has more directories than can be watched: changes from outside are told of the ${watched} nearest its root; of others when you edit what you have seen.`;
