import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";

import { type ErrorCode, GuildError } from "../errors.ts";
import type { BlobStore } from "../ports/blob-store.ts";
import { seededRandom } from "./random.ts";

/** What a suite runs against; `store` begins empty. */
export interface BlobStoreFixture {
  store: BlobStore;
  close(): Promise<void>;
}

/** Every promise of the BlobStore port. `makeFixture` is called once a suite. */
export function blobStoreContract(name: string, makeFixture: () => Promise<BlobStoreFixture>): void {
  describe(`${name}: blob store`, () => {
    let fixture: BlobStoreFixture;
    let store: BlobStore;
    before(async () => {
      fixture = await makeFixture();
      store = fixture.store;
    });
    after(() => fixture.close());

    it("begins empty", async () => {
      assert.deepEqual(await Array.fromAsync(store.list()), []);
    });

    it("names content by its SHA-256 and gives it back", async () => {
      const bytes = Buffer.from("the castle ✓\0\xff", "latin1");
      const ref = await store.put(bytes, "text/plain");
      assert.equal(ref.digest, digestOf(bytes));
      assert.equal(ref.size, BigInt(bytes.length));
      assert.equal(ref.mediaType, "text/plain");
      assert.equal(await store.has(ref.digest), true);
      assert.deepEqual(await bytesOf(store, ref.digest), bytes);
    });

    it("stores the empty content", async () => {
      const ref = await store.put(new Uint8Array(), "application/octet-stream");
      assert.equal(ref.size, 0n);
      assert.equal(await store.has(ref.digest), true);
      assert.deepEqual(await bytesOf(store, ref.digest), Buffer.alloc(0));
    });

    it("takes a stream whose chunks are reused, and gives ranges of it", async () => {
      const whole = Buffer.alloc(1_500_000);
      for (let index = 0; index < whole.length; index++) whole[index] = index % 251;
      const stream = async function* () {
        const chunk = Buffer.alloc(65_536);
        for (let offset = 0; offset < whole.length; offset += chunk.length) {
          const length = whole.copy(chunk, 0, offset, offset + chunk.length);
          yield chunk.subarray(0, length);
        }
      };
      const { digest, size } = await store.put(stream(), "application/octet-stream");
      assert.equal(digest, digestOf(whole));
      assert.equal(size, 1_500_000n);
      assert.deepEqual(await bytesOf(store, digest), whole);
      const ranges = [
        [0, 10],
        [65_530, 20],
        [1_499_990, 100],
        [1_500_000, 5],
        [2_000_000, 5],
        [7, 0],
      ] as const;
      for (const [offset, length] of ranges) {
        assert.deepEqual(await bytesOf(store, digest, { offset, length }), whole.subarray(offset, offset + length));
      }
      await rejects("invalid_argument", bytesOf(store, digest, { offset: -1, length: 5 }));
    });

    it("stores the same content once, also when written side by side", async () => {
      const bytes = Buffer.from("twice");
      const streamed = async function* () {
        yield bytes;
      };
      const refs = await Promise.all(Array.from({ length: 10 }, (_, n) => store.put(n % 2 ? bytes : streamed(), "text/plain")));
      assert.equal(new Set(refs.map((ref) => ref.digest)).size, 1);
      const listed = await Array.fromAsync(store.list());
      assert.equal(listed.filter((blob) => blob.digest === refs[0]?.digest).length, 1);
    });

    it("keeps nothing of a source that fails", async () => {
      const before = await Array.fromAsync(store.list());
      const broken = async function* () {
        yield Buffer.from("half of it");
        throw new GuildError("unavailable", "the source broke");
      };
      await rejects("unavailable", store.put(broken(), "text/plain"));
      assert.deepEqual(await Array.fromAsync(store.list()), before);
    });

    it("says not_found of what is not there, and deletes what is", async () => {
      const missing = digestOf(Buffer.from("never stored"));
      assert.equal(await store.has(missing), false);
      await rejects("not_found", bytesOf(store, missing));
      await rejects("not_found", bytesOf(store, missing, { offset: 0, length: 1 }));
      await store.delete(missing);
      const { digest } = await store.put(Buffer.from("not for long"), "text/plain");
      await store.delete(digest);
      assert.equal(await store.has(digest), false);
      await rejects("not_found", bytesOf(store, digest));
    });

    it("refuses a name that is no digest", async () => {
      const bad = ["", "sha256:", "sha256:../../../../etc/passwd", `md5:${"0".repeat(64)}`, `sha256:${"G".repeat(64)}`];
      for (const digest of bad) {
        await rejects("invalid_argument", store.has(digest));
        await rejects("invalid_argument", bytesOf(store, digest));
        await rejects("invalid_argument", store.delete(digest));
      }
    });

    const seed = Math.floor(Math.random() * 2 ** 31);
    it(`holds exactly what was put and not deleted (seed ${seed})`, async (t) => {
      t.diagnostic(`seed ${seed}`);
      const random = seededRandom(seed);
      const expected = new Map<string, Buffer>();
      const others = new Set((await Array.fromAsync(store.list())).map((blob) => blob.digest));
      for (let step = 0; step < 60; step++) {
        const bytes = Buffer.alloc(1 + random.below(50), `content ${random.below(20)}`);
        const digest = digestOf(bytes);
        if (others.has(digest)) continue;
        if (random.below(3) === 0) {
          await store.delete(digest);
          expected.delete(digest);
        } else {
          await store.put(bytes, "text/plain");
          expected.set(digest, bytes);
        }
      }
      const listed = (await Array.fromAsync(store.list())).filter((blob) => !others.has(blob.digest));
      assert.deepEqual(
        new Map(listed.map((blob) => [blob.digest, blob.size])),
        new Map(listed.map((blob) => [blob.digest, expected.get(blob.digest)?.length])),
      );
      assert.equal(listed.length, expected.size);
      for (const [digest, bytes] of expected) assert.deepEqual(await bytesOf(store, digest), bytes);
    });
  });
}

/** The name that content has. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

async function bytesOf(store: BlobStore, digest: string, range?: { offset: number; length: number }): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(store.get(digest, range), (chunk) => Uint8Array.from(chunk)));
}

async function rejects(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => GuildError.is(error, code));
}
