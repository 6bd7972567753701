import { give } from "./fit.ts";
import type { Amounts, Policy, QueuedTask, RunningTask } from "./types.ts";

/** What the groups that have a limit have of the pool while a decision is made. */
export class GroupUse {
  readonly #limits: Policy["groupLimits"];
  readonly #tasks = new Map<string, number>();
  /** Of groups whose amounts are limited. */
  readonly #amounts = new Map<string, Amounts>();

  constructor({ groupLimits }: Pick<Policy, "groupLimits">, running: readonly RunningTask[]) {
    this.#limits = groupLimits;
    for (const task of running) this.add(task);
  }

  /** Whether one more such task passes no limit. */
  admit({ groups, needs }: Pick<QueuedTask, "groups" | "needs">): boolean {
    return groups.every((group) => {
      const limit = this.#limits[group];
      if (limit === undefined) return true;
      return (this.#tasks.get(group) ?? 0) < limit.tasks && beyond(needs, this.#amounts.get(group), limit.most) === undefined;
    });
  }

  add({ groups, needs }: { groups: readonly string[]; needs: Amounts }): void {
    for (const group of groups) {
      const limit = this.#limits[group];
      if (limit === undefined) continue;
      this.#tasks.set(group, (this.#tasks.get(group) ?? 0) + 1);
      if (limit.most === undefined) continue;
      const used = this.#amounts.get(group) ?? { cpu: 0, memoryBytes: 0, diskBytes: 0, slots: 0 };
      give(used, needs);
      this.#amounts.set(group, used);
    }
  }
}

/** What of `most` is passed by `needs` beside what is `used`; undefined: nothing. */
export function beyond(needs: Amounts, used: Amounts | undefined, most: Partial<Amounts> = {}): keyof Amounts | undefined {
  for (const kind of ["cpu", "memoryBytes", "diskBytes", "slots"] satisfies Array<keyof Amounts>) {
    const limit = most[kind];
    if (limit !== undefined && needs[kind] + (used?.[kind] ?? 0) > limit) return kind;
  }
  return undefined;
}
