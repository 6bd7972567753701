import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { TaskSpecSchema } from "@guildhall/protocol";

import type { TaskRecord } from "../storage/task-store.ts";
import { checkLimits, describeShares, parseShares } from "./shares.ts";

describe("what the pool says of its shares and limits", () => {
  const shares = parseShares({ shares: "acme=3", limits: "acme=5, acme/web=2, idle=1, acme:cpu=2, acme:memory=1024" });
  const tasks = (...projects: string[]) => projects.map((project) => ({ spec: create(TaskSpecSchema, { project }) }) as TaskRecord);
  const rows = describeShares(shares, tasks("acme/web", "other/x"), tasks("acme/web", "acme/web/shop", "acme", "home", ""));

  it("counts a project with a limit by itself and in all above it", () => {
    const counted = rows.map(({ organisation, weight, limit, running, queued }) => [organisation, weight, limit, running, queued]);
    assert.deepEqual(counted, [
      ["", 1, 0, 1, 0],
      ["acme", 3, 5, 3, 1],
      ["acme/web", 0, 2, 2, 1],
      ["home", 1, 0, 1, 0],
      ["idle", 1, 1, 0, 0],
      ["other", 1, 0, 0, 1],
    ]);
  });

  it("counts what tasks are granted against what their organisation may have, and refuses what it may never have", () => {
    const acme = rows.find(({ organisation }) => organisation === "acme");
    // A quarter of a CPU and 256 MiB for each of three that ask for nothing.
    assert.deepEqual([acme?.most?.cpu, acme?.granted?.cpu], [2, 0.75]);
    assert.deepEqual([acme?.most?.memoryBytes, acme?.granted?.memoryBytes], [1024n << 20n, 768n << 20n]);
    const asks = (project: string, cpu: number) => create(TaskSpecSchema, { name: "x", project, needs: { cpu } });
    assert.throws(() => checkLimits(asks("acme/web", 3), shares), /acme may have 2 CPUs at once, and the task asks for 3/);
    checkLimits(asks("acme/web", 2), shares);
    checkLimits(asks("other", 3), shares);
    for (const [name, text] of [
      ["limits", "acme:gpu=1"],
      ["limits", "acme=0.5"],
      ["shares", "acme:cpu=1"],
    ] as const)
      assert.throws(() => parseShares({ shares: "", limits: "", [name]: text }), /is no share/);
  });
});
