import { GuildError, type Sandbox } from "@guildhall/core";

import { listeningPorts } from "./listening.ts";

/** What has become different inside a sandbox since the last look. */
export interface InsideChanges {
  opened: readonly number[];
  closed: readonly number[];
  /** Background processes, as `node (process 12)`: those that began, and those that ended, since. */
  began: readonly string[];
  ended: readonly string[];
  /** Lines about what has become scarce. */
  pressure: readonly string[];
}

type Watched = Pick<Sandbox, "files" | "usage" | "limits" | "provider" | "wayOut">;

/** Bytes of the file system that the workspace is on. */
export interface DiskSpace {
  free: number;
  total: number;
}

interface Process {
  name: string;
  /** Guildhall started it (shells, language servers, browsers), or it belongs to such a one that is no shell. */
  own: boolean;
}

/** Share of a limit from which on it is said to be short. */
const SCARCE = 0.85;
/** Free space that is enough on the largest disk, bytes. */
const LITTLE_SPACE = 2 * 2 ** 30;
/** Processes that are looked at; a sandbox with more has other worries, and is told of them by its limit. */
const MOST_PROCESSES = 256;
/** Variable of what Guildhall runs inside for itself. */
export const OWN_PROCESS = "GUILD_OWN_PROCESS";

/**
 * Looks into a sandbox for what differs since the last look: listening ports, background processes, memory and processes near their limit.
 * A look reads two tables, where there are sockets, and a directory, and two files for each process that is new. Without walls (`host`) the processes are everybody's,
 * and are not told.
 */
export class InsideWatch {
  readonly #sandbox: Watched;
  readonly #scarce = new Set<string>();
  readonly #space: (() => Promise<DiskSpace>) | undefined;
  #freeAtFirst: number | undefined;
  #ports: readonly number[] = [];
  #processes: ReadonlyMap<number, Process> = new Map();

  private constructor(sandbox: Watched, space: (() => Promise<DiskSpace>) | undefined) {
    this.#sandbox = sandbox;
    this.#space = space;
  }

  /** With what runs now as nothing new; what listens already is told at the next look, where the ports are the sandbox's own. `space`: where the disk is looked at too. Throws what the sandbox throws. */
  static async begin(sandbox: Watched, space?: () => Promise<DiskSpace>): Promise<InsideWatch> {
    const watch = new InsideWatch(sandbox, space);
    await watch.look();
    watch.#scarce.clear(); // what is short from the first is told at the next look
    if (sandbox.provider !== "host") watch.#ports = [];
    return watch;
  }

  async look(): Promise<InsideChanges> {
    const [ports, processes, pressure] = await Promise.all([this.#listening(), this.#running(), this.#pressure()]);
    const [before, had] = [this.#ports, this.#processes];
    this.#ports = ports;
    this.#processes = processes;
    const background = (all: ReadonlyMap<number, Process>, but: ReadonlyMap<number, Process>): string[] =>
      [...all].flatMap(([pid, { name, own }]) => (own || but.has(pid) ? [] : [`${name} (process ${pid})`]));
    return {
      opened: ports.filter((port) => !before.includes(port)),
      closed: before.filter((port) => !ports.includes(port)),
      began: background(processes, had),
      ended: background(had, processes),
      pressure,
    };
  }

  /** For either table the kernel goes through the sockets of the whole machine (milliseconds); how many the sandbox has, it knows. */
  async #listening(): Promise<number[]> {
    const table = async (name: string, counts: string): Promise<string> =>
      /^TCP6?: inuse 0\b/m.test(await this.#read(counts)) ? "" : await this.#read(name);
    const ports = listeningPorts(
      ...(await Promise.all([table("/proc/net/tcp", "/proc/net/sockstat"), table("/proc/net/tcp6", "/proc/net/sockstat6")])),
    );
    // The way out is no program's of anybody here.
    return ports.filter((port) => port !== this.#sandbox.wayOut?.port);
  }

  async #running(): Promise<ReadonlyMap<number, Process>> {
    if (this.#sandbox.provider === "host") return new Map();
    const entries = await this.#sandbox.files.list("/proc");
    const pids = entries.map(({ name }) => Number(name)).filter((pid) => Number.isInteger(pid));
    const found = new Map<number, Process>();
    for (const pid of pids.toSorted((a, b) => a - b).slice(0, MOST_PROCESSES)) {
      const one = this.#processes.get(pid) ?? (await this.#process(pid, found));
      if (one !== undefined) found.set(pid, one);
    }
    return found;
  }

  /** `above`: processes with lower numbers. Undefined: it has ended meanwhile. */
  async #process(pid: number, above: ReadonlyMap<number, Process>): Promise<Process | undefined> {
    const [stat, environ] = await Promise.all([this.#read(`/proc/${pid}/stat`), this.#read(`/proc/${pid}/environ`)]);
    const [, name = "", state, parent, session] = /^\d+ \((.*)\) (\S) (\d+) \d+ (\d+)/s.exec(stat) ?? [];
    if (state === undefined || state === "Z") return undefined;
    const starter = above.get(Number(parent));
    // What Guildhall starts leads a session of its own; what a shell has let go comes to Guildhall's init, and stays in the shell's.
    const leader = Number(session) === pid ? undefined : above.get(Number(session));
    const own =
      starter === undefined ||
      (starter.name.startsWith("guild-") && leader?.name !== "bash") ||
      (starter.own && starter.name !== "bash" && !starter.name.startsWith("guild-")) ||
      `\0${environ}`.includes(`\0${OWN_PROCESS}=`);
    return { name: own || !name.startsWith("ld-") ? name : await this.#loaded(pid, name), own };
  }

  /** What a program's loader, called by itself, has been told to run: its options come in pairs. */
  async #loaded(pid: number, name: string): Promise<string> {
    const words = (await this.#read(`/proc/${pid}/cmdline`)).split("\0").slice(1);
    while (words[0]?.startsWith("--") === true) words.splice(0, 2);
    return words[0]?.split("/").at(-1) || name;
  }

  async #pressure(): Promise<string[]> {
    const { limits } = this.#sandbox;
    const lines: string[] = [];
    const tell = (what: string, scarce: boolean, line: string): void => {
      if (scarce && !this.#scarce.has(what)) lines.push(line);
      if (scarce) this.#scarce.add(what);
      else this.#scarce.delete(what);
    };
    const check = (what: string, used: number, limit: number | undefined, line: string): void =>
      tell(what, limit !== undefined && used > limit * SCARCE, line);
    const mebi = (bytes = 0): number => Math.round(bytes / 2 ** 20);
    const space = await this.#space?.();
    if (space !== undefined) {
      const { free, total } = space;
      const added = Math.max(0, (this.#freeAtFirst ??= free) - free);
      const line = `Disk is short: ${mebi(free)} of ${mebi(total)} MiB are free where the workspace is; remove what you do not need.`;
      tell("disk", free < LITTLE_SPACE && free < total * (1 - SCARCE), line);
      check(
        "added",
        added,
        limits?.diskBytes,
        `${mebi(added)} of the ${mebi(limits?.diskBytes)} MiB that may be added to the disk are written.`,
      );
    }
    if (limits?.memoryBytes === undefined && limits?.processes === undefined) return lines;
    const { memoryBytes, processes } = await this.#sandbox.usage();
    check(
      "memory",
      memoryBytes,
      limits.memoryBytes,
      `Memory is short: ${mebi(memoryBytes)} of ${mebi(limits.memoryBytes)} MiB are used; stop what you do not need.`,
    );
    check("processes", processes, limits.processes, `${processes} of ${limits.processes} processes are there; stop what you do not need.`);
    return lines;
  }

  async #read(path: string): Promise<string> {
    try {
      return Buffer.from(await this.#sandbox.files.read(path)).toString("latin1");
    } catch (error) {
      if (GuildError.is(error, "not_found") || GuildError.is(error, "permission_denied")) return ""; // ended meanwhile, or no such table
      throw error;
    }
  }
}
