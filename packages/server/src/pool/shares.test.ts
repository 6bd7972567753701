import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { TaskSpecSchema } from "@guildhall/protocol";

import type { TaskRecord } from "../storage/task-store.ts";
import { describeShares, parseShares } from "./shares.ts";

describe("what the pool says of its shares and limits", () => {
  const shares = parseShares({ shares: "acme=3", limits: "acme=5, acme/web=2, idle=1" });
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
});
