import { readdirSync, readFileSync } from "node:fs";

/** What a set of processes has used, from /proc (Linux). */
export interface TreeUsage {
  /** User and system time of the living and of the children that they have waited for, milliseconds. */
  cpuMs: number;
  /** Proportional set size, bytes: shared pages count once over all. */
  memoryBytes: number;
  processes: number;
}

/** The processes `roots` and everything that descends from them now. */
export function descendants(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const parent = stat(pid)?.parent;
    if (parent === undefined) continue;
    const list = children.get(parent);
    if (list === undefined) children.set(parent, [pid]);
    else list.push(pid);
  }
  const found = new Set<number>();
  const open = [...roots];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    if (found.has(pid)) continue;
    found.add(pid);
    open.push(...(children.get(pid) ?? []));
  }
  return [...found];
}

/** `memory: false` leaves out the slow part. A process that ends meanwhile counts nothing. */
export function usage(pids: readonly number[], options: { memory: boolean }): TreeUsage {
  let cpuMs = 0;
  let memoryBytes = 0;
  let processes = 0;
  for (const pid of pids) {
    const found = stat(pid);
    if (found === undefined) continue;
    cpuMs += found.cpuMs;
    processes += 1;
    if (options.memory) memoryBytes += proportionalSetSize(pid);
  }
  return { cpuMs, memoryBytes, processes };
}

/** How often processes have read and written so far: calls of the system, whatever they carried. One that is not ours to look at counts nothing. */
export function transfers(pids: readonly number[]): number {
  let calls = 0;
  for (const pid of pids) {
    try {
      for (const [, count] of readFileSync(`/proc/${pid}/io`, "latin1").matchAll(/^sysc[rw]: (\d+)$/gm)) calls += Number(count);
    } catch {
      continue; // it has ended
    }
  }
  return calls;
}

/** Pids whose command line holds `text`. */
export function findProcesses(text: string): number[] {
  return readdirSync("/proc").flatMap((entry) => {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text) ? [pid] : [];
    } catch {
      return [];
    }
  });
}

function stat(pid: number): { parent: number; cpuMs: number } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
  return { parent: Number(fields[1]), cpuMs: ticks * MS_PER_TICK };
}

/** USER_HZ is 100 on every Linux that Node runs on. */
const MS_PER_TICK = 10;

function proportionalSetSize(pid: number): number {
  try {
    const match = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"));
    return match === null ? 0 : Number(match[1]) * 1024;
  } catch {
    return 0;
  }
}
