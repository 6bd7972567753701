import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";

import type { DockerEngine } from "./engine.ts";

const LABEL = "app.guildhall";

/** By which containers are known: the sandbox, whose state directory it belongs to, and the process that holds it. */
export function sandboxLabels(id: string, stateDir: string): Record<string, string> {
  return { [`${LABEL}.sandbox`]: id, [`${LABEL}.state`]: stateMark(stateDir), [`${LABEL}.owner`]: ownerMark() };
}

/** Removes containers of this state directory whose process has gone; their inits have killed everything in them. */
export async function removeLeftovers(engine: DockerEngine, stateDir: string): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`${LABEL}.state=${stateMark(stateDir)}`] }));
  const found = (await engine.get(`/containers/json?all=1&filters=${filters}`)) as Array<{ Id: string; Labels: Record<string, string> }>;
  for (const { Id: id, Labels: labels } of found) {
    if (isAlive(labels[`${LABEL}.owner`] ?? "")) continue;
    // It may be on its way out by itself.
    await engine.delete(`/containers/${id}?force=1&v=1`).catch(() => undefined);
  }
}

function stateMark(stateDir: string): string {
  return createHash("sha256").update(stateDir).digest("hex").slice(0, 24);
}

/** A process that nobody else is ever taken for: its namespace, number and time of start. */
function ownerMark(pid = process.pid): string {
  return `${readlinkSync("/proc/self/ns/pid")}/${pid}/${startOf(pid)}`;
}

function isAlive(mark: string): boolean {
  const [space, pid, start] = mark.split("/");
  // Of another namespace's processes nothing can be said here: their lease ends them.
  if (space !== readlinkSync("/proc/self/ns/pid")) return true;
  return start === startOf(Number(pid));
}

/** Ticks after the machine's start at which a process began; undefined: there is none. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name before it is in brackets and may hold anything.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined; // ended
  }
}
