import type { Resource } from "@guildhall/core";

/** One call of a reply, in the order in which the model wrote them. */
export interface PlannedCall {
  /** Position in the list given. */
  index: number;
  /** Positions of earlier calls that must have ended before this one begins. */
  after: number[];
}

/**
 * Which calls of one reply may run side by side: each waits for the earlier calls that write what it touches, or touch what it writes.
 * The outcome is then the same as that of running them one after another. Pure; the order of `after` is ascending.
 */
export function planParallel(calls: ReadonlyArray<{ resources: readonly Resource[] }>): PlannedCall[] {
  return calls.map((call, index) => {
    const after: number[] = [];
    for (let earlier = 0; earlier < index; earlier += 1) {
      if (conflict(calls[earlier]?.resources ?? [], call.resources)) after.push(earlier);
    }
    return { index, after };
  });
}

/** Whether two sets of resources forbid running side by side: something that one writes is touched by the other. */
export function conflict(a: readonly Resource[], b: readonly Resource[]): boolean {
  return a.some((left) => b.some((right) => (left.access === "write" || right.access === "write") && overlap(left.name, right.name)));
}

/** Whether two resource names have something in common: `*` is everything, `workspace` every file, a file's path what lies below it. */
export function overlap(a: string, b: string): boolean {
  if (a === b || a === "*" || b === "*") return true;
  const [fileA, fileB] = [filePath(a), filePath(b)];
  if (a === "workspace") return fileB !== undefined;
  if (b === "workspace") return fileA !== undefined;
  if (fileA === undefined || fileB === undefined) return false;
  return fileA === fileB || below(fileA, fileB) || below(fileB, fileA);
}

function filePath(name: string): string | undefined {
  return name.startsWith("file:") ? name.slice("file:".length).replace(/\/+$/, "") : undefined;
}

function below(parent: string, child: string): boolean {
  return child.startsWith(`${parent}/`);
}
