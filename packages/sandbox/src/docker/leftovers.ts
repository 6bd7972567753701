import { createHash } from "node:crypto";

import { isAlive, ownerMark } from "../owner-mark.ts";
import type { DockerEngine } from "./engine.ts";

const LABEL = "app.guildhall";

/** By which containers are known: the sandbox, whose state directory it belongs to, and the process that holds it. */
export function sandboxLabels(id: string, stateDir: string): Record<string, string> {
  return { [`${LABEL}.sandbox`]: id, [`${LABEL}.state`]: stateMark(stateDir), [`${LABEL}.owner`]: ownerMark() };
}

/** Removes containers, and their volumes, of this state directory whose process has gone; their inits have killed everything in them. */
export async function removeLeftovers(engine: DockerEngine, stateDir: string): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`${LABEL}.state=${stateMark(stateDir)}`] }));
  const found = (await engine.get(`/containers/json?all=1&filters=${filters}`)) as Array<{ Id: string; Labels: Record<string, string> }>;
  for (const { Id: id, Labels: labels } of found) {
    // Those of another namespace are ended by their lease.
    if (isAlive(labels[`${LABEL}.owner`] ?? "") !== false) continue;
    // It may be on its way out by itself.
    await engine.delete(`/containers/${id}?force=1&v=1`).catch(() => undefined);
  }
  const volumes = (await engine.get(`/volumes?filters=${filters}`)) as {
    Volumes?: Array<{ Name: string; Labels: Record<string, string> }> | null;
  };
  for (const { Name: name, Labels: labels } of volumes.Volumes ?? []) {
    if (isAlive(labels[`${LABEL}.owner`] ?? "")) continue;
    // One that a container still has on its way out goes the next time.
    await engine.delete(`/volumes/${encodeURIComponent(name)}?force=1`).catch(() => undefined);
  }
}

function stateMark(stateDir: string): string {
  return createHash("sha256").update(stateDir).digest("hex").slice(0, 24);
}
