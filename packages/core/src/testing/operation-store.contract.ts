import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create, equals } from "@bufbuild/protobuf";
import { type Operation, OperationSchema } from "@guildhall/protocol";

import { GuildError } from "../errors.ts";
import type { OperationStore } from "../ports/operation-store.ts";

/** What every store of operations promises. `open` opens the same store each time. */
export function operationStoreContract(name: string, open: () => Promise<OperationStore>): void {
  const operation = (replica: string, seq: number, text = "x"): Operation =>
    create(OperationSchema, {
      id: `${replica}/${seq}`,
      replica,
      seq: BigInt(seq),
      time: { wallMs: 1_767_225_600_000n + BigInt(seq), counter: seq },
      actor: "person:p",
      change: { case: "put", value: { id: `kno_${seq}`, text, confidence: 0.5 } },
    });
  const all = async (store: OperationStore, tenant: string, known: Record<string, bigint> = {}): Promise<Operation[]> =>
    (await Array.fromAsync(store.read(tenant, known))).flat();

  describe(`${name} as a store of operations`, () => {
    it("gives back what was appended, in the order of each replica, from what is known", async () => {
      const store = await open();
      const written = [operation("a", 1), operation("a", 2, "naïve\u{1F98A}"), operation("b", 1)];
      await store.append("order", written);
      const read = await all(store, "order");
      assert.equal(read.length, 3);
      for (const one of written) assert.ok(read.some((other) => equals(OperationSchema, one, other)));
      assert.deepEqual(
        (await all(store, "order", { a: 1n })).map((one) => one.id),
        ["a/2", "b/1"],
      );
      await store.close();
    });

    it("gives back thousands in the order of their numbers", async () => {
      const store = await open();
      const many = Array.from({ length: 2_300 }, (_, at) => operation("many", at + 1));
      await store.append("many", many);
      assert.deepEqual(
        (await all(store, "many", { many: 7n })).map((one) => one.seq),
        many.slice(7).map((one) => one.seq),
      );
      await store.close();
    });

    it("keeps one name, and no tenant sees another's", async () => {
      const store = await open();
      const mine = await store.replica("names");
      assert.ok(mine.length > 0);
      assert.equal(await store.replica("names"), mine);
      await store.append("one", [operation("a", 1)]);
      assert.deepEqual(await all(store, "two"), []);
      await store.append("two", [operation("a", 1)]);
      assert.equal((await all(store, "two")).length, 1);
      await store.close();
    });

    it("passes over what it has, and refuses a place that is taken, all or none", async () => {
      const store = await open();
      await store.append("twice", [operation("a", 1)]);
      await store.append("twice", [operation("a", 1), operation("a", 2)]);
      assert.equal((await all(store, "twice")).length, 2);
      const other = create(OperationSchema, { ...operation("a", 2), id: "else" });
      await assert.rejects(store.append("twice", [operation("a", 3), other]), (error) => GuildError.is(error, "already_exists"));
      assert.deepEqual(
        (await all(store, "twice")).map((one) => one.id),
        ["a/1", "a/2"],
      );
      await store.append("twice", []);
      await store.close();
    });
  });
}
