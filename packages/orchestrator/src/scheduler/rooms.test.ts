import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { misfit, shortage, take } from "./fit.ts";
import { Rooms } from "./rooms.ts";
import { TaskQueue } from "./task-queue.ts";
import type { Amounts, QueuedTask, Worker } from "./types.ts";

describe("the best room", () => {
  it("is the one that a look at every worker for every task finds", (t) => {
    const { next: random, seed } = seededRandom();
    t.diagnostic(`seed ${seed}`);
    const oneOf = <T>(...of: readonly [T, ...T[]]): T => of[Math.floor(random() * of.length)] ?? of[0];
    for (let round = 0; round < 200; round++) {
      const workers = Array.from({ length: 1 + Math.floor(random() * 12) }, (_, index): Worker => {
        const size = oneOf(0, 1, 2, 4, 8);
        return {
          id: `w${index}`,
          capacity: { cpu: size, memoryBytes: oneOf(2, 8), diskBytes: 9, slots: oneOf(1, 3, 8) },
          roles: new Set(oneOf<string[]>([], ["tester"])),
          labels: oneOf<Record<string, string>>({}, { zone: "a" }),
          environmentKinds: new Set(["nix"]),
          warm: new Set(oneOf<string[]>([], ["env"], ["work"], ["env", "work"])),
          load: oneOf(0, 0.5, 0.9),
          draining: random() < 0.1,
        };
      });
      const queue = new TaskQueue(1);
      for (let index = 0; index < 40; index++) {
        queue.add({
          id: `t${index}`,
          tenant: oneOf("x", "y"),
          groups: [],
          priority: 50,
          submitted: index,
          needs: {
            cpu: oneOf(0, 1, 2),
            memoryBytes: oneOf(0, 1),
            diskBytes: 0,
            slots: 1,
            role: oneOf("", "tester"),
            labels: oneOf<Record<string, string>>({}, { zone: "a" }),
            environmentKind: oneOf("", "nix"),
          },
          environment: oneOf("", "env"),
          workspace: oneOf("", "work"),
        });
      }
      const rooms = new Rooms(workers, []);
      const asked = [...queue.tenants().values()].flat().flatMap((bucket) => bucket.tasks.map((task) => ({ bucket, task, at: random() })));
      for (const { bucket, task } of asked.toSorted((x, y) => x.at - y.at)) {
        const expected = naive(rooms, task);
        const found = rooms.best(bucket, task);
        assert.equal(found?.worker.id, expected?.worker.id);
        if (found !== undefined) take(found.free, task.needs);
      }
    }
  });
});

/** Every worker, every time. */
function naive(rooms: Rooms, task: QueuedTask): Rooms["all"][number] | undefined {
  let best: { room: Rooms["all"][number]; score: number } | undefined;
  for (const room of rooms.all) {
    const { worker, free } = room;
    if (shortage(task.needs, free) !== undefined || misfit(task.needs, worker) !== undefined) continue;
    const share = (of: keyof Amounts): number => (worker.capacity[of] > 0 ? free[of] / worker.capacity[of] : 0);
    const granted = Math.min(share("cpu"), share("memoryBytes"), share("slots"));
    const warm = worker.warm.has(task.environment) || worker.warm.has(task.workspace);
    const score = Math.min(granted, 1 - worker.load) + granted / 100 + (warm ? 0.5 : 0);
    if (best === undefined || score > best.score) best = { room, score };
  }
  return best?.room;
}
