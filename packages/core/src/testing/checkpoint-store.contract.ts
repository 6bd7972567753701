import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";

import { GuildError } from "../errors.ts";
import { EMPTY_TREE, encodeTree, GIT_FILE, GIT_TREE, gitObjectId, sortTree, type TreeEntry } from "../git-object.ts";
import type { CheckpointStore, GitObjectKind } from "../ports/checkpoint.ts";

/** What a suite runs against: an empty store, without a period of grace; `close` also removes it. */
export interface CheckpointStoreFixture {
  store: CheckpointStore;
  close(): Promise<void>;
}

/** What every CheckpointStore promises. */
export function checkpointStoreContract(name: string, open: () => Promise<CheckpointStoreFixture>): void {
  const withStore = (body: (store: CheckpointStore) => Promise<void>) => async () => {
    const fixture = await open();
    try {
      await body(fixture.store);
    } finally {
      await fixture.close();
    }
  };

  describe(`CheckpointStore: ${name}`, () => {
    it(
      "gives back what was put, of any size and content",
      withStore(async (store) => {
        const contents = [0, 1, 15, 16, 2047, 2048, 40_000, 300_000, 5_000_000].map((size) => randomBytes(size));
        contents.push(Buffer.alloc(1_000_000, "compressible "));
        await store.put(contents.map(blob));
        for (const content of contents) {
          const got = await store.get(blob(content).id);
          assert.equal(got.kind, "blob");
          assert.ok(Buffer.from(got.content).equals(content), `content of ${content.length} bytes`);
        }
      }),
    );

    it(
      "stores an object once",
      withStore(async (store) => {
        const object = blob(randomBytes(1000));
        assert.equal(await store.has(object.id), false);
        assert.ok((await store.put([object, object])).storedBytes > 900);
        assert.equal((await store.put([object])).storedBytes, 0);
        assert.equal(await store.has(object.id), true);
        assert.equal(await store.has(blob(randomBytes(10)).id), false);
      }),
    );

    it(
      "says not_found for what is not there",
      withStore(async (store) => {
        await assert.rejects(store.get(EMPTY_TREE), (error) => GuildError.is(error, "not_found"));
      }),
    );

    it(
      "says corrupt for what is not what it is called",
      withStore(async (store) => {
        const { id } = blob(Buffer.from("one thing"));
        await store.put([{ id, kind: "blob", content: Buffer.from("another") }]);
        await assert.rejects(store.get(id), (error) => GuildError.is(error, "corrupt"));
      }),
    );

    it(
      "takes puts side by side, many objects at a time, and reads meanwhile",
      withStore(async (store) => {
        const batches = Array.from({ length: 40 }, (_, batch) =>
          Array.from({ length: batch % 10 === 0 ? 2000 : 5 }, () => blob(randomBytes(20))),
        );
        await Promise.all(
          batches.map(async (batch) => {
            await store.put(batch);
            for (const object of batch.slice(0, 20)) {
              assert.ok(Buffer.from((await store.get(object.id)).content).equals(object.content));
            }
          }),
        );
      }),
    );

    it(
      "collects what no root reaches, and nothing else",
      withStore(async (store) => {
        const kept = nested("kept");
        const lost = nested("lost");
        const bulk = Array.from({ length: 1500 }, () => blob(randomBytes(30)));
        await store.put([...kept.objects, ...lost.objects]);
        await store.put(bulk);
        const freed = await store.collect([kept.root]);
        assert.equal(freed.objects, lost.objects.filter(({ id }) => !kept.objects.some((other) => other.id === id)).length + bulk.length);
        assert.ok(freed.bytes > 0);
        for (const { id, content } of kept.objects) assert.ok(Buffer.from((await store.get(id)).content).equals(content));
        for (const { id } of [...lost.objects, ...bulk]) {
          assert.equal(
            await store.has(id),
            kept.objects.some((other) => other.id === id),
          );
        }
        assert.deepEqual(await store.collect([kept.root]), { objects: 0, bytes: 0 });
        await store.put(lost.objects);
        assert.equal((await store.get(lost.root)).kind, "tree");
      }),
    );

    it(
      "collects with a root that it does not have",
      withStore(async (store) => {
        await store.put([blob(Buffer.from("x"))]);
        assert.equal((await store.collect([EMPTY_TREE])).objects, 1);
      }),
    );
  });
}

interface TestObject {
  id: string;
  kind: GitObjectKind;
  content: Buffer;
}

function blob(content: Buffer): TestObject {
  return { id: gitObjectId("blob", content), kind: "blob", content };
}

function tree(entries: TreeEntry[]): TestObject {
  const content = encodeTree(sortTree(entries));
  return { id: gitObjectId("tree", content), kind: "tree", content };
}

/** A tree two levels deep, one file of which every such tree shares. */
function nested(text: string): { root: string; objects: TestObject[] } {
  const own = blob(Buffer.from(text));
  const shared = blob(Buffer.from("shared"));
  const inner = tree([
    { name: "own", mode: GIT_FILE, id: own.id },
    { name: "shared", mode: GIT_FILE, id: shared.id },
  ]);
  const outer = tree([
    { name: "inner", mode: GIT_TREE, id: inner.id },
    { name: "inner.txt", mode: GIT_FILE, id: own.id },
  ]);
  return { root: outer.id, objects: [own, shared, inner, outer] };
}
