import { createHash } from "node:crypto";
import { setImmediate as otherWork } from "node:timers/promises";

import { gitObjectId, type CheckpointStore, type GitObjectKind } from "@guildhall/core";

/** Names objects and passes them to a store in batches, one batch under way while the next one fills: bounded memory. */
export class ObjectSink {
  /** Bytes that the store took. */
  storedBytes = 0;
  readonly #store: CheckpointStore;
  #held: Array<{ id: string; kind: GitObjectKind; content: Uint8Array }> = [];
  #heldBytes = 0;
  #underWay: Promise<void> = Promise.resolve();

  constructor(store: CheckpointStore) {
    this.#store = store;
  }

  /** Returns the id; the object is durable after `flush`. Waits while the store does not keep up. */
  async add(kind: GitObjectKind, content: Uint8Array): Promise<string> {
    const id = content.length <= HASH_AT_ONCE ? gitObjectId(kind, content) : await hashInTurns(kind, content);
    this.#held.push({ id, kind, content });
    this.#heldBytes += content.length;
    if (this.#heldBytes >= BATCH_BYTES || this.#held.length >= BATCH_OBJECTS) await this.#pass();
    return id;
  }

  /** Everything added so far is durable when it resolves. */
  async flush(): Promise<void> {
    await this.#pass();
    await this.#underWay;
  }

  async #pass(): Promise<void> {
    const batch = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    const before = this.#underWay;
    if (batch.length > 0) {
      this.#underWay = before.then(async () => {
        this.storedBytes += (await this.#store.put(batch)).storedBytes;
      });
      // Who flushes hears of a failure; this keeps it from counting as unheard until then.
      this.#underWay.catch(() => undefined);
    }
    await before;
  }
}

const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_OBJECTS = 2000;
const HASH_AT_ONCE = 2 * 1024 * 1024;

async function hashInTurns(kind: GitObjectKind, content: Uint8Array): Promise<string> {
  const hash = createHash("sha1").update(`${kind} ${content.length}\0`);
  for (let at = 0; at < content.length; at += HASH_AT_ONCE) {
    hash.update(content.subarray(at, at + HASH_AT_ONCE));
    await otherWork();
  }
  return hash.digest("hex");
}
