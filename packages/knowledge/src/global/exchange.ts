import { create } from "@bufbuild/protobuf";
import { type Operation, OperationSchema, type ScopeKind } from "@guildhall/protocol";

import { presentPut } from "./item.ts";
import type { Ledger } from "./ledger.ts";

/**
 * The operation as it may leave: of an item whose scope stays here only its place in the order is told. What is about an item that is not here (yet) came from
 * a replica that knew it and let it leave: it goes on as it is, for without it those behind this replica would never hear of it.
 */
export function withheld(operation: Operation, ledger: Ledger, leaves: (kind: ScopeKind) => boolean): Operation {
  const stays = (id: string): boolean => {
    const item = ledger.item(id);
    if (item === undefined) return false;
    const put = presentPut(item).change;
    return put.case !== "put" || !leaves(put.value.scope?.kind ?? 0);
  };
  const { change } = operation;
  switch (change.case) {
    case "put":
      return leaves(change.value.scope?.kind ?? 0) && !stays(change.value.id) ? operation : empty(operation);
    case "forget":
    case "restore":
    case "prune":
      return stays(change.value) ? empty(operation) : operation;
    case "feedback": {
      const ids = change.value.ids.filter((id) => !stays(id));
      if (ids.length === change.value.ids.length) return operation;
      return ids.length === 0
        ? empty(operation)
        : create(OperationSchema, { ...operation, change: { case: "feedback", value: { ...change.value, ids } } });
    }
    case "judge":
    case "settle":
      return change.value.sides.some((side) => stays(ledger.itemOfPut(side) ?? "")) ? empty(operation) : operation;
    default:
      return operation;
  }
}

function empty({ id, replica, seq, time }: Operation): Operation {
  return create(OperationSchema, { id, replica, seq, ...(time === undefined ? {} : { time }) });
}
