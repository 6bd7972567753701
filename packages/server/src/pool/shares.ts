import { GuildError } from "@guildhall/core";
import type { Policy } from "@guildhall/orchestrator";
import type { TaskSpec } from "@guildhall/protocol";

import type { TaskRecord } from "../storage/task-store.ts";
import { sharedPath } from "./task-terms.ts";

/** How the pool is shared out between organisations, and what runs at once: from settings, read at each decision. */
export interface Shares {
  /** By organisation. */
  weights: Record<string, number>;
  /** Tasks at once by organisation or project. */
  limits: Record<string, number>;
}

/** Reads `name=number` lists. Throws `invalid_argument` for anything else. */
export function parseShares({ shares, limits }: { shares: string; limits: string }): Shares {
  return { weights: parseNumbers(shares, "workers.shares", 0.01), limits: parseNumbers(limits, "workers.limits", 1) };
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
  const groupLimits: Record<string, { tasks: number }> = {};
  for (const [name, tasks] of Object.entries(limits)) groupLimits[`project:${name}`] = { tasks };
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
  const [queued, busy] = [count(waiting), count(running)];
  const names = new Set([...Object.keys(weights), ...Object.keys(limits), ...queued.keys(), ...busy.keys()]);
  return [...names].toSorted().map((organisation) => ({
    organisation,
    weight: organisation.includes("/") ? 0 : (weights[organisation] ?? 1),
    limit: limits[organisation] ?? 0,
    queued: queued.get(organisation) ?? 0,
    running: busy.get(organisation) ?? 0,
  }));
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
    const [, name, number] = /^\s*([\w.-]+(?:\/[\w.-]+)*)\s*=\s*(\d+(?:\.\d+)?)\s*$/.exec(part) ?? [];
    if (name === undefined || Number(number) < least)
      throw new GuildError("invalid_argument", `${part.trim()} is no share`, { subject: setting, remedy: "write acme=3, home=1" });
    numbers[name] = Number(number);
  }
  return numbers;
}
