import assert from "node:assert/strict";
import { it } from "node:test";

import type { Checkpointer, Sandbox } from "@guildhall/core";
import { FakeSandbox } from "@guildhall/core/testing";

import { settledCheckpointer } from "./settled-checkpointer.ts";

const happened: string[] = [];
const checkpointer: Checkpointer = {
  capture: async () => {
    happened.push("capture");
    return { tree: "t", changedFiles: 0, storedBytes: 0, omitted: "build: too large" };
  },
  restore: async () => {
    happened.push("restore");
    return [];
  },
  diff: async () => [],
  close: async () => {},
};

it("brings a copy home around checkpoints and tells of conflicts", async () => {
  const sandbox: Sandbox = new FakeSandbox({ id: "copied", workspace: "/w" });
  sandbox.settle = async () => {
    happened.push("settle");
    return [{ path: "a", kept: "/state/a" }];
  };
  const settled = settledCheckpointer(checkpointer, sandbox);
  const { omitted } = await settled.capture();
  assert.equal(omitted, "build: too large; what the sandbox wrote to a, which was changed from outside too: kept as /state/a");
  await settled.restore("t");
  assert.deepEqual(happened, ["settle", "capture", "settle", "restore", "settle"]);
});

it("is the checkpointer itself where there is no copy", () => {
  assert.equal(settledCheckpointer(checkpointer, new FakeSandbox({ id: "direct", workspace: "/w" })), checkpointer);
});
