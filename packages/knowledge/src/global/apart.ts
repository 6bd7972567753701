import { create } from "@bufbuild/protobuf";
import { type Knowledge, OperationSchema } from "@guildhall/protocol";

import { ClashFinder, scopeKey } from "./conflicts.ts";

/** In groups that are written at once, in order: none has two that are about the same item or key, or that may say the same. */
export function* apart(facts: readonly Knowledge[]): Generator<Array<{ fact: Knowledge; at: number }>> {
  let group: Array<{ fact: Knowledge; at: number }> = [];
  let near = new ClashFinder();
  let names = new Set<string>();
  for (const [at, fact] of facts.entries()) {
    const own = [...(fact.id === "" ? [] : [`id ${fact.id}`]), ...(fact.key === "" ? [] : [`key ${scopeKey(fact)} ${fact.key}`])];
    if (own.some((name) => names.has(name)) || near.related(fact).length > 0) {
      yield group;
      group = [];
      near = new ClashFinder();
      names = new Set();
    }
    group.push({ fact, at });
    for (const name of own) names.add(name);
    near.set(String(at), create(OperationSchema, { id: String(at), change: { case: "put", value: fact } }));
  }
  if (group.length > 0) yield group;
}
