import type { Clash } from "./conflicts.ts";
import type { Ledger } from "./ledger.ts";

/** A clash that was settled, as its settlement tells. */
export function settledClash(ledger: Ledger, id: string): Clash | undefined {
  const change = ledger.settlement(id)?.change;
  if (change?.case !== "settle") return undefined;
  const [left = "", right = ""] = change.value.sides;
  const items = [ledger.itemOfPut(left) ?? "", ledger.itemOfPut(right) ?? ""] as const;
  return { id, kind: change.value.kind as Clash["kind"], reason: change.value.reason, sides: [left, right], items };
}
