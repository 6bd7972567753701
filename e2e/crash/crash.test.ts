import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { FAULT_POINTS } from "@guildhall/agent";
import { seededRandom } from "@guildhall/core/testing";
import { STORAGE_FAULT_POINTS } from "@guildhall/server/storage";

import { verifies } from "../verifies.ts";
import { CrashBench } from "./crashing-run.ts";

/** Everything, not a sample: `npm run test:full`. */
const full = process.env["GUILD_TEST_FULL"] !== undefined;

/** Hits that the gate takes; each lies elsewhere in the run. */
const sample = [
  "create:after@1",
  "append:before@3",
  "append:after@9",
  "commit:after@20",
  "model:after@6",
  "tool:before@7",
  "tool:after@12",
  "checkpoint:after@1",
  "blob:rename@1",
];

const points = [...FAULT_POINTS, ...STORAGE_FAULT_POINTS];

describe("a run of twenty steps, killed", () => {
  let bench: CrashBench;
  before(async () => {
    bench = await CrashBench.open();
  });
  after(() => bench.close());

  /** Runs with the fault; false when the run came to its end because the point was hit less often. */
  async function killedAt(fault: string): Promise<boolean> {
    await bench.home.guild(["down", "--now"]);
    const { workspace, run } = bench.start({ env: { GUILD_FAULTS: `${fault}=kill` } });
    const finished = await run.finished;
    if (finished.code !== 0) assert.match(finished.stderr, /daemon|went away|ended/, `${fault}: ${finished.stderr}`);
    await bench.resumeAndCheck(workspace, finished, fault);
    // The fault that was not reached must not meet whoever uses this daemon next.
    if (finished.code === 0) await bench.home.guild(["down", "--now"]);
    return finished.code !== 0;
  }

  if (full) {
    for (const point of points) {
      it(`in the daemon at ${point}, every time that it is hit, goes on`, async (t) => {
        verifies("A6", "B5");
        let hit = 1;
        while (await killedAt(`${point}@${hit}`)) hit++;
        t.diagnostic(`${hit - 1} hits`);
      });
    }
  } else {
    for (const fault of sample) {
      it(`in the daemon at ${fault}, goes on: nothing acknowledged is lost, nothing is done twice`, async () => {
        verifies("A6", "B5");
        assert.ok(await killedAt(fault), `${fault} was not reached`);
      });
    }
  }

  for (const point of full ? (["input:before", "input:after"] as const) : (["input:after"] as const)) {
    it(`in the daemon at ${point} of a message sent meanwhile, goes on: what is stored is there once`, async () => {
      verifies("A6", "B5");
      await bench.home.guild(["down", "--now"]);
      const goOn = bench.holdAfter(5);
      const { workspace, run } = bench.start({ env: { GUILD_FAULTS: `${point}@1=kill` } });
      const told = await run.until(/Step 5\./);
      const session = /ses_\w+/.exec(told)?.[0] ?? "";
      const sent = await bench.home.guild(["session", "send", session, "A word in between."]);
      goOn();
      assert.notEqual(sent.code, 0, "it was not acknowledged");
      const finished = await run.finished;
      await bench.resumeAndCheck(workspace, finished, point);
      const { stdout } = await bench.home.guild(["session", "events", session, "--json"]);
      assert.equal(stdout.split("A word in between.").length - 1, point === "input:after" ? 1 : 0);
    });
  }

  for (const seed of full ? [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] : [1]) {
    const step = 1 + seededRandom(seed).below(20);
    const reached = new RegExp(`Step ${step}\\.`);

    it(`as the client, at step ${step}, goes on without it`, async () => {
      const { workspace, run } = bench.start();
      await run.until(reached);
      run.child.kill("SIGKILL");
      await bench.resumeAndCheck(workspace, await run.finished, `client at step ${step}`);
    });

    it(`as the database, at step ${step}, goes on`, async () => {
      const { workspace, run } = bench.start();
      await run.until(reached);
      process.kill(bench.databasePid(), "SIGKILL");
      await bench.resumeAndCheck(workspace, await run.finished, `database at step ${step}`);
    });

    it(`as daemon and database together, at step ${step}, goes on`, async () => {
      const daemon = await bench.daemonPid();
      const { workspace, run } = bench.start();
      await run.until(reached);
      process.kill(daemon, "SIGKILL");
      process.kill(bench.databasePid(), "SIGKILL");
      await bench.resumeAndCheck(workspace, await run.finished, `daemon and database at step ${step}`);
    });
  }
});
