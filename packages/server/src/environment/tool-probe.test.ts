import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { GuildError, type SandboxProvider } from "@guildhall/core";
import { seededIds } from "@guildhall/core/testing";

import { ToolProbe } from "./tool-probe.ts";

describe("the versions of an environment's programs", () => {
  it("are asked for once by sessions that begin together, and again after a failure", async () => {
    const stateDir = mkdtempSync(join(tmpdir(), "guild-probe-"));
    let opened = 0;
    const provider = {
      name: "fake",
      create: async () => {
        opened++;
        await new Promise((resolve) => setImmediate(resolve));
        throw new GuildError("unavailable", "there is no sandbox");
      },
    } as unknown as SandboxProvider;
    const probe = new ToolProbe({ stateDir, provider: async () => provider, ids: seededIds(1) });
    const ask = (variables = {}) => probe.tools({ path: [], mounts: [], pure: true, variables }, ["git"], "", { anew: false });
    await Promise.all([ask(), ask(), ask()].map((one) => assert.rejects(one, /there is no sandbox/)));
    assert.equal(opened, 1);
    await Promise.all([ask(), ask({ PATH: "/elsewhere" })].map((one) => assert.rejects(one, /there is no sandbox/)));
    assert.equal(opened, 3);
    rmSync(stateDir, { recursive: true });
  });
});
