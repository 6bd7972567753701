import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { TaskState } from "@guildhall/protocol";

import type { TaskRecord } from "../storage/task-store.ts";
import { givenAway, type Running, seenTwice } from "./running-task.ts";

describe("tasks that run as far as an orchestrator knows", () => {
  const look = async (rows: Array<Partial<TaskRecord> & { id: string }>, twice = seenTwice()): Promise<string[]> => {
    const store = {
      renew: async (_tenant: string, owner: string) =>
        rows.flatMap(({ id, claimOwner, state = 0 }) => (claimOwner === owner ? [{ id, state }] : [])),
      get: async (_tenant: string, id: string) => rows.find((row) => row.id === id) as TaskRecord,
    };
    const running = rows.map((task) => ({ task, member: "wrk_a" }) as Running);
    return await givenAway(store, running, { tenant: "local", owner: "orc_a", claimMs: 1_000, twice });
  };
  const row = (state: TaskState, claimOwner?: string, epoch = 1) => ({ id: "tsk_a", state, epoch, claimOwner });

  it("are ours while we answer for them, and another's when that one does", async () => {
    assert.deepEqual(await look([row(TaskState.RUNNING, "orc_a")]), []);
    assert.deepEqual(await look([row(TaskState.RUNNING, "orc_b")]), ["tsk_a"]);
    assert.deepEqual(await look([row(TaskState.SUCCEEDED)]), [], "its worker is about to say so");
  });

  it("are not ours when another has taken them over and put them back", async () => {
    const twice = seenTwice();
    assert.deepEqual(await look([row(TaskState.QUEUED)], twice), [], "we may be about to place it");
    assert.deepEqual(await look([row(TaskState.QUEUED)], twice), ["tsk_a"]);
  });

  it("are ours while we place them again and again", async () => {
    const twice = seenTwice();
    assert.deepEqual(await look([row(TaskState.QUEUED, undefined, 1)], twice), []);
    assert.deepEqual(await look([row(TaskState.QUEUED, undefined, 2)], twice), []);
    assert.deepEqual(await look([row(TaskState.RUNNING, "orc_a", 3)], twice), []);
    assert.deepEqual(await look([row(TaskState.QUEUED, undefined, 3)], twice), []);
  });
});
