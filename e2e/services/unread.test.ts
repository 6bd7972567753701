import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, it } from "node:test";

import { pause, pidOf, ServiceSystem } from "./system.ts";

describe("a service whose log nobody reads any more", () => {
  const system = new ServiceSystem();
  after(() => system.close());

  it("loses what it says, and works on", { timeout: 120_000 }, async () => {
    const orchestrator = await system.start("orchestrator", ["orchestrator"]);
    const worker = await system.start("worker", ["worker"], { join: orchestrator.address });
    await system.workers(1, orchestrator.address);
    worker.child.stderr?.destroy();
    worker.child.stdout?.destroy();
    process.kill(pidOf(orchestrator), "SIGKILL");
    // It has something to say of the connection that it lost.
    await pause(2_000);
    const before = writes(pidOf(worker));
    await pause(2_000);
    const more = writes(pidOf(worker)) - before;
    if (more >= 2_000) process.kill(pidOf(worker), "SIGKILL");
    assert.ok(more < 2_000, `it wrote ${more} times`);
  });
});

/** Calls of the kernel by which a process has written so far. */
function writes(pid: number): number {
  return Number(/^syscw: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}
