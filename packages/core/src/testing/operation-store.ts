import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Operation, OperationSchema } from "@guildhall/protocol";

import { GuildError } from "../errors.ts";
import type { OperationStore } from "../ports/operation-store.ts";

/** Operations in memory; `name` is the replica's. */
export class MemoryOperationStore implements OperationStore {
  readonly #name: string;
  readonly #rows = new Map<string, Uint8Array>();
  readonly #ids = new Map<string, string>();

  constructor(name: string) {
    this.#name = name;
  }

  replica(): Promise<string> {
    return Promise.resolve(this.#name);
  }

  async *read(tenant: string, known: Readonly<Record<string, bigint>>): AsyncIterable<readonly Operation[]> {
    const all = [...this.#rows].filter(([place]) => place.startsWith(`${tenant}\0`)).map(([, bytes]) => fromBinary(OperationSchema, bytes));
    const wanted = all.filter((one) => one.seq > (known[one.replica] ?? 0n));
    yield wanted.toSorted((x, y) => (x.replica === y.replica ? Number(x.seq - y.seq) : x.replica < y.replica ? -1 : 1));
  }

  async append(tenant: string, operations: readonly Operation[]): Promise<void> {
    const fresh = operations.filter((one) => !this.#ids.has(`${tenant}\0${one.id}`));
    for (const one of fresh) {
      if (this.#rows.has(placeOf(tenant, one))) {
        throw new GuildError("already_exists", `position ${one.seq} is taken`, { subject: one.replica, remedy: "read first" });
      }
    }
    for (const one of fresh) {
      this.#rows.set(placeOf(tenant, one), toBinary(OperationSchema, one));
      this.#ids.set(`${tenant}\0${one.id}`, one.replica);
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function placeOf(tenant: string, { replica, seq }: Operation): string {
  return `${tenant}\0${replica}\0${seq}`;
}
