import type { Amounts, Needs, Worker } from "./types.ts";

/** A need that has nothing to do with amounts and that this worker does not meet. */
export function misfit(needs: Needs, worker: Worker): string | undefined {
  if (needs.role !== "" && worker.roles.size > 0 && !worker.roles.has(needs.role)) return `does not serve the role ${needs.role}`;
  if (needs.environmentKind !== "" && !worker.environmentKinds.has(needs.environmentKind))
    return `has no ${needs.environmentKind} environments`;
  for (const label in needs.labels) {
    if (worker.labels[label] !== needs.labels[label]) return `is not labelled ${label}=${needs.labels[label]}`;
  }
  return undefined;
}

/** What the task needs and is not left; undefined: all of it is. */
export function shortage(needs: Amounts, free: Amounts): string | undefined {
  if (needs.slots > free.slots) return `has ${free.slots} slots of ${needs.slots}`;
  if (needs.cpu > free.cpu) return `has ${free.cpu} CPUs of ${needs.cpu}`;
  if (needs.memoryBytes > free.memoryBytes) return `has ${free.memoryBytes} bytes of memory of ${needs.memoryBytes}`;
  if (needs.diskBytes > free.diskBytes) return `has ${free.diskBytes} bytes of disk of ${needs.diskBytes}`;
  return undefined;
}

/** Less is free. */
export function take(from: Amounts, amounts: Amounts): void {
  from.cpu -= amounts.cpu;
  from.memoryBytes -= amounts.memoryBytes;
  from.diskBytes -= amounts.diskBytes;
  from.slots -= amounts.slots;
}

/** More is free. */
export function give(to: Amounts, amounts: Amounts): void {
  take(to, { cpu: -amounts.cpu, memoryBytes: -amounts.memoryBytes, diskBytes: -amounts.diskBytes, slots: -amounts.slots });
}
