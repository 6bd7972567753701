import { GuildError } from "@guildhall/core";
import { type Amounts, beyond, type Limit, type Policy } from "@guildhall/orchestrator";
import type { TaskSpec } from "@guildhall/protocol";

import type { TaskRecord } from "../storage/task-store.ts";
import { needsOf, sharedPath } from "./task-terms.ts";

/** How the pool is shared out between organisations, and what runs at once: from settings, read at each decision. */
export interface Shares {
  /** By organisation. */
  weights: Record<string, number>;
  /** By organisation or project: tasks at once, and what they may be granted together. */
  limits: Record<string, Limit>;
}

/** Reads `name=number` lists. Throws `invalid_argument` for anything else. */
export function parseShares({ shares, limits }: { shares: string; limits: string }): Shares {
  const parsed: Record<string, Limit> = {};
  for (const [place, number] of Object.entries(parseNumbers(limits, "workers.limits", 1))) {
    const [name = "", kind] = place.split(":");
    const limit = (parsed[name] ??= { tasks: Infinity });
    if (kind === "cpu") limit.most = { ...limit.most, cpu: number };
    else if (kind === "memory") limit.most = { ...limit.most, memoryBytes: number * MIB };
    else if (kind === "disk") limit.most = { ...limit.most, diskBytes: number * MIB };
    else limit.tasks = number;
  }
  return { weights: parseNumbers(shares, "workers.shares", 0.01), limits: parsed };
}

/** Throws `failed_precondition` for a task that asks for more than its organisation or project may ever have at once. */
export function checkLimits(spec: TaskSpec, { limits }: Shares): void {
  const needs = needsOf(spec);
  for (const name of countedIn(spec)) {
    const kind = beyond(needs, undefined, limits[name]?.most);
    if (kind === undefined) continue;
    const [unit, words] = kind === "cpu" ? [1, "CPUs"] : [MIB, kind === "diskBytes" ? "MiB of disk" : "MiB of memory"];
    throw new GuildError(
      "failed_precondition",
      `${name} may have ${round((limits[name]?.most?.[kind] ?? 0) / unit)} ${words} at once, and the task asks for ${round(needs[kind] / unit)}`,
      { subject: spec.name, remedy: "ask for less, or raise workers.limits" },
    );
  }
}

const MIB = 2 ** 20;

function round(amount: number): number {
  return Math.round(amount * 100) / 100;
}

/** First part of a task's project: what shares are counted by; empty: it has none. */
export function organisationOf({ project }: TaskSpec): string {
  return project.split("/")[0] ?? "";
}

/** The limits that a task counts against: its shared directory's, of which one may be at work, and those of its project and all above it. */
export function groupsOf(spec: TaskSpec): string[] {
  const path = sharedPath(spec);
  const parts = spec.project === "" ? [] : spec.project.split("/");
  const projects = parts.map((_, index) => `project:${parts.slice(0, index + 1).join("/")}`);
  return [...(path === "" ? [] : [`path:${path}`]), ...projects];
}

/** The scheduler's policy for what waits just now. */
export function policyOf(
  base: Omit<Policy, "groupLimits" | "weights">,
  { weights, limits }: Shares,
  waiting: Iterable<TaskRecord>,
): Policy {
  const groupLimits: Record<string, Limit> = {};
  for (const [name, limit] of Object.entries(limits)) groupLimits[`project:${name}`] = limit;
  for (const { spec } of waiting) if (sharedPath(spec) !== "") groupLimits[`path:${sharedPath(spec)}`] = { tasks: 1 };
  return { ...base, weights, groupLimits };
}

/** What `guild pool` says of it: every organisation that has a share, a limit or tasks, and every project that has a limit. */
export function describeShares({ weights, limits }: Shares, waiting: Iterable<TaskRecord>, running: Iterable<TaskRecord>) {
  const count = (tasks: Iterable<TaskRecord>): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const { spec } of tasks)
      for (const name of countedIn(spec))
        if (!name.includes("/") || limits[name] !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
    return counts;
  };
  const granted = new Map<string, Amounts>();
  const counted = [...running];
  for (const { spec } of counted) {
    for (const name of countedIn(spec)) {
      const { cpu, memoryBytes, diskBytes, slots } = granted.get(name) ?? { cpu: 0, memoryBytes: 0, diskBytes: 0, slots: 0 };
      const more = needsOf(spec);
      granted.set(name, {
        cpu: cpu + more.cpu,
        memoryBytes: memoryBytes + more.memoryBytes,
        diskBytes: diskBytes + more.diskBytes,
        slots: slots + more.slots,
      });
    }
  }
  const [queued, busy] = [count(waiting), count(counted)];
  const names = new Set([...Object.keys(weights), ...Object.keys(limits), ...queued.keys(), ...busy.keys()]);
  return [...names].toSorted().map((organisation) => ({
    organisation,
    weight: organisation.includes("/") ? 0 : (weights[organisation] ?? 1),
    limit: wholeOf(limits[organisation]?.tasks),
    queued: queued.get(organisation) ?? 0,
    running: busy.get(organisation) ?? 0,
    ...amountsOf(limits[organisation]?.most, granted.get(organisation)),
  }));
}

/** Of a limit in tasks, as it is told. */
function wholeOf(tasks = Infinity): number {
  return Number.isFinite(tasks) ? tasks : 0;
}

/** What is limited, and what of it is granted just now. */
function amountsOf(most: Partial<Amounts> | undefined, granted: Amounts | undefined) {
  if (most === undefined) return {};
  const told = ({ cpu = 0, memoryBytes = 0, diskBytes = 0 }: Partial<Amounts>) => ({
    cpu,
    memoryBytes: BigInt(Math.round(memoryBytes)),
    diskBytes: BigInt(Math.round(diskBytes)),
  });
  return { most: told(most), granted: told(granted ?? {}) };
}

/** Its project and all above it. */
function countedIn({ project }: TaskSpec): string[] {
  const parts = project.split("/");
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

function parseNumbers(text: string, setting: string, least: number): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const part of text.split(",")) {
    if (part.trim() === "") continue;
    const [, name, kind = "", number] = /^\s*([\w.-]+(?:\/[\w.-]+)*)(:cpu|:memory|:disk)?\s*=\s*(\d+(?:\.\d+)?)\s*$/.exec(part) ?? [];
    const amount = kind !== "" && setting === "workers.limits";
    if (name === undefined || (kind !== "" && !amount) || Number(number) < (amount ? 0.01 : least))
      throw new GuildError("invalid_argument", `${part.trim()} is no share`, { subject: setting, remedy: "write acme=3, home=1" });
    numbers[`${name}${kind}`] = Number(number);
  }
  return numbers;
}
