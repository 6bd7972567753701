import type { Knowledge } from "@guildhall/protocol";

import { scopeKey } from "../global/conflicts.ts";
import { type Likeness, likenessOf } from "../global/likeness.ts";
import { jaccard } from "../retrieval/diversify.ts";

/** Facts that say much the same, and the one of them that says it best. */
export interface Group {
  members: readonly Knowledge[];
  /** The most central; among equals the surer, then the earlier by id. */
  best: Knowledge;
}

/** From this share of words in common on, with no other number, name or path, two facts belong together. */
const ALIKE = 0.5;

/**
 * Groups of two or more facts of one scope that different sessions came to: alike in words, and with the same exact values, so that no two of a group
 * could contradict each other. Complete linkage: every two members are alike. Pure, and the same whatever the order.
 */
export function consolidate(facts: readonly Knowledge[]): Group[] {
  const entries = facts
    .toSorted((x, y) => (x.id < y.id ? -1 : 1))
    .map((fact) => ({ fact, scope: scopeKey(fact), likeness: likenessOf(fact) }));
  const groups: Array<typeof entries> = [];
  const byScope = Map.groupBy(entries, ({ scope, likeness }) => `${scope}\0${exact(likeness)}`);
  for (const same of byScope.values()) {
    const open: Array<typeof entries> = [];
    for (const entry of same) {
      const home = open.find((group) => group.every((other) => alike(entry.likeness, other.likeness)));
      if (home === undefined) open.push([entry]);
      else home.push(entry);
    }
    groups.push(...open.filter((group) => new Set(group.flatMap(({ fact }) => sessionsOf(fact))).size > 1));
  }
  return groups.map((group) => {
    const central = (of: Likeness): number => group.reduce((sum, { likeness }) => sum + jaccard(of.words, likeness.words), 0);
    const [first] = group.toSorted(
      (x, y) => central(y.likeness) - central(x.likeness) || y.fact.confidence - x.fact.confidence || (x.fact.id < y.fact.id ? -1 : 1),
    );
    return { members: group.map(({ fact }) => fact), best: (first ?? group[0])?.fact as Knowledge };
  });
}

function alike(x: Likeness, y: Likeness): boolean {
  return x.negated === y.negated && jaccard(x.words, y.words) >= ALIKE;
}

function exact({ named, values }: Likeness): string {
  return [...named, ...values].toSorted().join("\0");
}

/** Sessions whose events a fact rests on. */
function sessionsOf({ evidence }: Knowledge): string[] {
  return evidence.flatMap(({ kind }) => (kind.case === "events" ? [kind.value.sessionId] : []));
}
