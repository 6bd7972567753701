import { GuildError, type SandboxFiles } from "@guildhall/core";

import { readProc } from "./listening-ports.ts";

/** A process as /proc tells of it. */
export interface ProcessRow {
  pid: number;
  parent: number;
  /** One letter: R, S, D, Z, T. */
  state: string;
  /** User and system time, seconds. */
  cpuSeconds: number;
  residentBytes: number;
  threads: number;
  command: string;
}

const TICKS = 100;
const PAGE = 4096;
/** More are not looked at. */
const MOST = 2_000;

/** Every process that the sandbox shows, by number; see proc(5). */
export async function processTable(files: SandboxFiles): Promise<ProcessRow[]> {
  const entries = await files.list("/proc").catch((error: unknown) => {
    if (GuildError.is(error)) return [];
    throw error;
  });
  const pids = entries.filter(({ name }) => /^\d+$/.test(name)).slice(0, MOST);
  const rows = await Promise.all(
    pids.map(async ({ name }) => {
      const [stat, line] = await Promise.all([readProc(files, `/proc/${name}/stat`), readProc(files, `/proc/${name}/cmdline`)]);
      return stat === undefined ? undefined : parseStat(stat, line ?? "");
    }),
  );
  return rows.filter((row) => row !== undefined).toSorted((a, b) => a.pid - b.pid);
}

/** `stat` of proc(5): the name is in parentheses and may hold any. */
export function parseStat(stat: string, commandLine: string): ProcessRow | undefined {
  const [, pid, name = "", rest = ""] = /^(\d+) \((.*)\) (.*)$/s.exec(stat) ?? [];
  if (pid === undefined) return undefined;
  const fields = rest.trim().split(" ");
  const number = (index: number): number => Number(fields[index - 3] ?? 0);
  const command = commandLine.replaceAll("\0", " ").trim();
  return {
    pid: Number(pid),
    parent: number(4),
    state: fields[0] ?? "?",
    cpuSeconds: (number(14) + number(15)) / TICKS,
    residentBytes: number(24) * PAGE,
    threads: number(20),
    command: command === "" ? `[${name}]` : command,
  };
}

/** Which process holds which socket, by the socket's inode; of those that may be looked at. */
export async function socketOwners(
  files: SandboxFiles,
  rows: readonly ProcessRow[],
  inodes: ReadonlySet<string>,
): Promise<Map<string, ProcessRow>> {
  const owners = new Map<string, ProcessRow>();
  await Promise.all(
    rows.map(async (row) => {
      const entries = await files.list(`/proc/${row.pid}/fd`).catch(hidden);
      const links = await Promise.all((entries ?? []).map(({ name }) => files.readlink(`/proc/${row.pid}/fd/${name}`).catch(hidden)));
      for (const link of links) {
        const inode = /^socket:\[(\d+)\]$/.exec(link ?? "")?.[1];
        if (inode !== undefined && inodes.has(inode) && !owners.has(inode)) owners.set(inode, row);
      }
    }),
  );
  return owners;
}

/** Gone meanwhile, or another user's. */
function hidden(error: unknown): undefined {
  if (GuildError.is(error)) return undefined;
  throw error;
}
