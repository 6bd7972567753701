import assert from "node:assert/strict";
import { it } from "node:test";

import { createPushQueue } from "./push-queue.ts";

it("a push queue gives what was pushed before and while it is read, in order, and ends", async () => {
  const queue = createPushQueue<number>();
  queue.push(1);
  queue.push(2);
  const read: number[] = [];
  const reading = (async () => {
    for await (const item of queue.items()) {
      read.push(item);
      if (item === 2) setImmediate(() => queue.push(3));
      if (item === 3) setImmediate(() => queue.end());
    }
  })();
  await reading;
  assert.deepEqual(read, [1, 2, 3]);
});
