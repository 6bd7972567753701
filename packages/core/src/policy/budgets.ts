import { GuildError } from "../errors.ts";
import type { Budgets, Spending } from "../ports/safety.ts";

/** No budget above the sessions' own limits. */
export function unlimitedBudgets(): Budgets {
  return { reserve: async () => ({ id: "" }), settle: async () => {} };
}

/**
 * One budget for all sessions of this process; what is left out of `total` has no limit. Reserved amounts count as spent until they are
 * settled, so that sessions side by side cannot overshoot together.
 */
export function sharedBudget(name: string, total: Partial<Spending>): Budgets & { readonly spent: Spending } {
  const spent: Spending = { steps: 0, tokens: 0, costUsd: 0, seconds: 0 };
  const reserved = new Map<string, Partial<Spending>>();
  let reservations = 0;
  const left = (kind: keyof Spending) => {
    const held = [...reserved.values()].reduce((sum, wanted) => sum + (wanted[kind] ?? 0), 0);
    return (total[kind] ?? Infinity) - spent[kind] - held;
  };
  return {
    spent,
    reserve: async (_session, wanted) => {
      for (const kind of KINDS) {
        const want = wanted[kind] ?? 0;
        if (left(kind) >= want && left(kind) > 0) continue;
        throw new GuildError("resource_exhausted", `the ${name} budget has ${Math.max(0, left(kind))} ${UNITS[kind]} left`, {
          subject: name,
          remedy: "raise the budget, or wait until other sessions give back what they hold",
        });
      }
      const id = `${name}-${++reservations}`;
      reserved.set(id, wanted);
      return { id };
    },
    settle: async ({ id }, used) => {
      if (!reserved.delete(id)) return;
      for (const kind of KINDS) spent[kind] += used[kind] ?? 0;
    },
  };
}

const UNITS: Record<keyof Spending, string> = { steps: "steps", tokens: "tokens", costUsd: "USD", seconds: "seconds" };
const KINDS: ReadonlyArray<keyof Spending> = ["steps", "tokens", "costUsd", "seconds"];
