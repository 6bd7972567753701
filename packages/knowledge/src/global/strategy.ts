import { clone, create } from "@bufbuild/protobuf";
import { ConflictStrategy, type Knowledge, KnowledgeSchema } from "@guildhall/protocol";

import type { Clash } from "./conflicts.ts";
import { compareOperations } from "./hybrid-clock.ts";
import type { Ledger } from "./ledger.ts";
import { confirmations } from "./worth.ts";

/** What a strategy does with a clash. */
export interface Verdict {
  /** Operations of the versions that lose; empty: both stay. */
  losers: string[];
  /** Version that is written first, of the item that wins: fields of both. */
  merged?: Knowledge;
}

/**
 * The same at every replica for the same knowledge. Undefined: a person has to say. Duplicates never wait: the earlier one stays, with the evidence
 * of both.
 */
export function decide(ledger: Ledger, clash: Clash, strategy: ConflictStrategy, winner = ""): Verdict | undefined {
  const [left, right] = clash.sides.map((id) => ledger.operation(id));
  if (left?.change.case !== "put" || right?.change.case !== "put") return undefined;
  const [a, b] = [left.change.value, right.change.value];
  const later = compareOperations(left, right) > 0 ? left : right;
  const earlier = later === left ? right : left;
  if (winner !== "") {
    const won = [left, right].find((side) => side.id === winner || (side.change.case === "put" && side.change.value.id === winner));
    return won === undefined ? undefined : { losers: [won === left ? right.id : left.id] };
  }
  if (clash.kind === "duplicate") return { losers: [later.id], ...joinedEvidence(earlier === left ? a : b, earlier === left ? b : a) };
  switch (strategy) {
    case ConflictStrategy.NEWEST:
      return { losers: [earlier.id] };
    case ConflictStrategy.MOST_TRUSTED: {
      const [x, y] = [trust(ledger, a), trust(ledger, b)];
      if (x === y) return { losers: [earlier.id] };
      return { losers: [x > y ? right.id : left.id] };
    }
    case ConflictStrategy.KEEP_BOTH:
      return { losers: [] };
    case ConflictStrategy.PER_FIELD: {
      const newer = later === left ? a : b;
      const older = later === left ? b : a;
      return { losers: [earlier.id, later.id], merged: perField(ledger, newer, older) };
    }
    default:
      return undefined;
  }
}

/** People before sessions before the system; what was confirmed and has evidence more; confidence decides among equals. */
function trust(ledger: Ledger, knowledge: Knowledge): number {
  const author = knowledge.author.startsWith("person:") ? 3 : knowledge.author.startsWith("session:") ? 1 : 0;
  const item = ledger.item(knowledge.id);
  const confirmed = item === undefined ? 0 : Math.min(2, confirmations(item));
  return author + confirmed + Math.min(1, knowledge.evidence.length / 4) + knowledge.confidence;
}

/** Text of the newer one; each other field from where it says more. */
function perField(ledger: Ledger, newer: Knowledge, older: Knowledge): Knowledge {
  const merged = clone(KnowledgeSchema, newer);
  merged.title = newer.title === "" ? older.title : newer.title;
  merged.key = newer.key === "" ? older.key : newer.key;
  merged.tags = [...new Set([...older.tags, ...newer.tags])].toSorted();
  merged.confidence = Math.max(newer.confidence, older.confidence);
  merged.evidence = unite(older, newer);
  merged.pinned = newer.pinned || older.pinned;
  if (trust(ledger, older) > trust(ledger, newer)) merged.author = older.author;
  return merged;
}

function joinedEvidence(kept: Knowledge, other: Knowledge): Pick<Verdict, "merged"> {
  const evidence = unite(kept, other);
  if (evidence.length === kept.evidence.length) return {};
  return { merged: create(KnowledgeSchema, { ...clone(KnowledgeSchema, kept), evidence }) };
}

/** Evidence of both, each piece once. */
export function unite(x: Knowledge, y: Knowledge): Knowledge["evidence"] {
  const seen = new Set<string>();
  return [...x.evidence, ...y.evidence].filter((one) => {
    const name = JSON.stringify(one, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
    return !seen.has(name) && seen.add(name);
  });
}
