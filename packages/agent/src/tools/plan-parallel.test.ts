import assert from "node:assert/strict";
import { test } from "node:test";

import type { Resource } from "@guildhall/core";

import { conflict, overlap, planParallel } from "./plan-parallel.ts";

const read = (name: string): Resource => ({ name, access: "read" });
const write = (name: string): Resource => ({ name, access: "write" });

test("reads run side by side, a write waits for what touches the same", () => {
  const plan = planParallel([
    { resources: [read("file:/w/a")] },
    { resources: [read("file:/w/a")] },
    { resources: [write("file:/w/a")] },
    { resources: [write("file:/w/b")] },
    { resources: [read("workspace")] },
    { resources: [] },
    { resources: [write("*")] },
  ]);
  assert.deepEqual(
    plan.map((call) => call.after),
    [[], [], [0, 1], [], [2, 3], [], [0, 1, 2, 3, 4]],
  );
});

test("a directory covers what lies below it, and not what merely begins alike", () => {
  assert.equal(overlap("file:/w/src", "file:/w/src/a.ts"), true);
  assert.equal(overlap("file:/w/src/", "file:/w/src/a.ts"), true);
  assert.equal(overlap("file:/w/src", "file:/w/src2"), false);
  assert.equal(overlap("file:/", "file:/w/src2"), true);
  assert.equal(overlap("workspace", "file:/w/src2"), true);
  assert.equal(overlap("workspace", "shell:main"), false);
  assert.equal(overlap("shell:main", "shell:main"), true);
  assert.equal(overlap("*", "tasks"), true);
});

test("any order that the plan allows keeps conflicting calls in the order of the reply", () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const names = ["*", "workspace", "tasks", "shell:a", "file:/w", "file:/w/a", "file:/w/a/b", "file:/w/c", "file:/x"];
  for (let round = 0; round < 300; round += 1) {
    const calls = Array.from({ length: 1 + random(7) }, () => ({
      resources: Array.from({ length: random(3) }, (): Resource => ({
        name: names[random(names.length)] ?? "*",
        access: random(2) === 0 ? "read" : "write",
      })),
    }));
    const plan = planParallel(calls);
    const done: number[] = [];
    const left = new Set(plan.map((call) => call.index));
    while (left.size > 0) {
      const ready = [...left].filter((index) => plan[index]?.after.every((earlier) => !left.has(earlier)));
      assert.ok(ready.length > 0, `seed ${seed}: a plan without a call that can begin`);
      for (const a of ready) {
        for (const b of ready) {
          if (a !== b) assert.equal(conflict(calls[a]!.resources, calls[b]!.resources), false, `seed ${seed}: ${a} and ${b} side by side`);
        }
      }
      const next = ready[random(ready.length)]!;
      left.delete(next);
      done.push(next);
    }
    for (let i = 0; i < calls.length; i += 1) {
      for (let j = i + 1; j < calls.length; j += 1) {
        if (conflict(calls[i]!.resources, calls[j]!.resources)) {
          assert.ok(done.indexOf(i) < done.indexOf(j), `seed ${seed}: ${j} ran before ${i}`);
        }
      }
    }
  }
});
