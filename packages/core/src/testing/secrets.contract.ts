import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { Secrets } from "../ports/safety.ts";

/** What every writable secret store promises. `open` gives an empty one; `reopen` the same store again, as another process would see it. */
export function secretsContract(name: string, open: () => Promise<{ secrets: Secrets; reopen(): Secrets; close(): Promise<void> }>): void {
  describe(`${name} as a secret store`, () => {
    it("gives back what was set, to the letter, after being opened again", async () => {
      const store = await open();
      const value = 'line one\nline "two" \\ ünïcode \u0000 end';
      await store.secrets.set("TOKEN", value);
      assert.equal(await store.reopen().get("TOKEN"), value);
      await store.close();
    });

    it("lists names in order, replaces, deletes, and knows nothing of the rest", async () => {
      const store = await open();
      await store.secrets.set("b", "1");
      await store.secrets.set("a", "2");
      await store.secrets.set("b", "3");
      assert.deepEqual(await store.secrets.names(), ["a", "b"]);
      await store.secrets.delete("a");
      await store.secrets.delete("never there");
      assert.deepEqual(await store.secrets.names(), ["b"]);
      assert.equal(await store.secrets.get("a"), undefined);
      assert.equal(await store.secrets.get("b"), "3");
      await store.close();
    });

    it("loses nothing when one process sets many at once", async () => {
      const store = await open();
      const names = Array.from({ length: 20 }, (_, index) => `name-${String(index).padStart(2, "0")}`);
      for (const result of await Promise.allSettled(names.map((each) => store.secrets.set(each, each)))) {
        // A store with check-and-set may refuse, but must not claim success for what it lost.
        if (result.status === "rejected") names.splice(0, 1);
      }
      assert.ok((await store.secrets.names()).length >= names.length);
      await store.close();
    });
  });
}
