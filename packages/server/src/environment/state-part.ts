import type { PartAction, PartNotice, ProjectFacts, Sandbox, SandboxUsage, SessionPart } from "@guildhall/core";
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

/** Share of its memory from which on a sandbox is said to be short of it. */
const SCARCE = 0.85;
/** Ports and memory are looked at no more often than this, milliseconds, … */
const LOOK_MS = 1_000;
/** … unless actions have run for so long: what is started takes a while to listen. */
const LONG_MS = 100;

class StatePart implements SessionPart {
  readonly name = "state";
  readonly #library: Library;
  readonly #context: PartContext;
  readonly #watch: InstanceType<Library["WorkspaceWatch"]>;
  readonly #install: Record<string, string>;
  readonly #files: ReturnType<Library["hostFiles"]>;
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
  #branch: string | undefined;
  #ports: readonly number[] | undefined;
  #scarce = false;
  #sandbox: Sandbox | undefined;
  #nextLook = 0;
  /** Since when some action runs, and for how long actions have run since the last look. */
  #runningSince = 0;
  #ranMs = 0;

  constructor(library: Library, context: PartContext, facts: ProjectFacts) {
    this.#library = library;
    this.#context = context;
    this.#watch = new library.WorkspaceWatch(context.workspace);
    this.#files = library.hostFiles(context.workspace);
    this.#install = Object.fromEntries(
      facts.ecosystems.flatMap(({ lockFile, commands }) => {
        const command = commands.find(({ purpose }) => purpose === "install")?.command;
        return lockFile === undefined || command === undefined ? [] : [[lockFile, command]];
      }),
    );
    context.sandbox.then(
      async (sandbox) => {
        // What listens before the first action is nothing new.
        await this.#portChanges(sandbox);
        this.#sandbox = sandbox;
      },
      () => undefined, // whoever needs it is told
    );
    const begun = this.#readBranch().then((branch) => (this.#branch = branch));
    Promise.all([this.#watch.ready, begun]).then(
      () => (this.#ready = true),
      () => undefined, // what cannot be watched is not told about
    );
  }

  async beforeStep(): Promise<PartNotice[]> {
    await this.#collect(this.#outside);
    const sandbox = this.#lookInside();
    const [branch, ports, pressure] = await Promise.all([
      this.#branchChange(),
      sandbox === undefined ? { opened: [], closed: [] } : this.#portChanges(sandbox),
      sandbox === undefined ? [] : this.#pressure(sandbox),
    ]);
    const during = [...this.#during].filter((path) => this.#known.has(path) && !this.#written.has(path));
    const files = [...this.#outside].filter((path) => path !== ".git/HEAD");
    for (const path of [...during, ...files]) if (this.#known.has(path)) this.#stale.add(path);
    const text = this.#library.describeChanges({
      files,
      seen: [...during, ...files.filter((path) => this.#known.has(path))],
      overflow: this.#overflow,
      ...(branch === undefined ? {} : { branch }),
      ...ports,
      pressure,
      install: this.#install,
    });
    this.#outside.clear();
    this.#during.clear();
    this.#written.clear();
    this.#overflow = false;
    return text === undefined ? [] : [{ kind: "environment", text }];
  }

  /** A file that somebody else has changed is looked at before it is written again. */
  async beforeAction(action: PartAction): Promise<string | undefined> {
    if (this.#running === 0) await this.#collect(this.#outside);
    const targets = this.#targets(action);
    if (targets.write) {
      for (const path of targets.paths) {
        if (!this.#stale.has(path) && !(this.#known.has(path) && this.#outside.has(path))) continue;
        this.#stale.delete(path);
        this.#outside.delete(path);
        return `${path} was changed from outside this session after you last saw it; view it, then decide again`;
      }
    }
    if (this.#running === 0) this.#runningSince = performance.now();
    this.#running += 1;
    return undefined;
  }

  async afterAction(action: PartAction): Promise<undefined> {
    this.#running = Math.max(0, this.#running - 1);
    if (this.#running === 0) this.#ranMs += performance.now() - this.#runningSince;
    const { paths, write } = this.#targets(action);
    for (const path of paths) {
      this.#known.add(path);
      this.#stale.delete(path);
      if (write) this.#written.add(path);
    }
    if (this.#running === 0) await this.#collect(this.#during);
  }

  /** The sandbox, when it is there and has not been looked into a moment ago: steps that take milliseconds are not each worth it. */
  #lookInside(): Sandbox | undefined {
    if (this.#sandbox === undefined || (this.#ranMs < LONG_MS && performance.now() < this.#nextLook)) return undefined;
    this.#nextLook = performance.now() + LOOK_MS;
    this.#ranMs = 0;
    return this.#sandbox;
  }

  async close(): Promise<void> {
    this.#watch.close();
  }

  async #collect(into: Set<string>): Promise<void> {
    if (!this.#ready) return;
    const { paths, overflow } = await this.#watch.take();
    for (const path of paths.keys()) into.add(path);
    this.#overflow ||= overflow;
  }

  #targets(action: PartAction): { paths: string[]; write: boolean } {
    const { workspace } = this.#context;
    const { paths, write } = this.#library.touchedPaths(action, workspace);
    return { paths: paths.filter((path) => path.startsWith(`${workspace}/`)).map((path) => path.slice(workspace.length + 1)), write };
  }

  async #readBranch(): Promise<string | undefined> {
    const head = (await this.#files.read(".git/HEAD"))?.trim();
    return head === undefined ? undefined : (/^ref: refs\/heads\/(.+)$/.exec(head)?.[1] ?? `no branch (${head.slice(0, 12)})`);
  }

  async #branchChange(): Promise<{ from: string; to: string } | undefined> {
    if (!this.#outside.has(".git/HEAD") && !this.#during.has(".git/HEAD")) return undefined;
    const from = this.#branch;
    const to = await this.#readBranch();
    this.#branch = to;
    return from === undefined || to === undefined || from === to ? undefined : { from, to };
  }

  async #portChanges(sandbox: Sandbox): Promise<{ opened: number[]; closed: number[] }> {
    const tables = await Promise.all(
      ["/proc/net/tcp", "/proc/net/tcp6"].map((path) =>
        sandbox.files.read(path).then(
          (bytes) => Buffer.from(bytes).toString("latin1"),
          () => "",
        ),
      ),
    );
    const now = this.#library.listeningPorts(...tables);
    const before = this.#ports;
    this.#ports = now;
    // Without walls everything that the machine listens on is there from the start.
    if (before === undefined) return { opened: [], closed: [] };
    return { opened: now.filter((port) => !before.includes(port)), closed: before.filter((port) => !now.includes(port)) };
  }

  async #pressure(sandbox: Sandbox): Promise<string[]> {
    const limit = sandbox.limits?.memoryBytes;
    const usage: SandboxUsage | undefined = limit === undefined ? undefined : await sandbox.usage().catch(() => undefined); // it is about to end
    const scarce = limit !== undefined && usage !== undefined && usage.memoryBytes > limit * SCARCE;
    const told = this.#scarce;
    this.#scarce = scarce;
    if (!scarce || told || usage === undefined || limit === undefined) return [];
    return [
      `Memory is short: ${Math.round(usage.memoryBytes / 2 ** 20)} of ${Math.round(limit / 2 ** 20)} MiB are used; stop what you do not need.`,
    ];
  }
}
