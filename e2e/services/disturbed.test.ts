import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { verifies } from "../verifies.ts";
import { startRelay } from "./relay.ts";
import { pidOf } from "./system.ts";
import { Workshop } from "./workshop.ts";

/** Everything, not a sample: `npm run test:full`. */
const full = process.env["GUILD_TEST_FULL"] !== undefined;

describe("messages that come twice, late and out of order", () => {
  const shop = new Workshop();
  let relay: Awaited<ReturnType<typeof startRelay>>;
  const random = seededRandom(Number(process.env["GUILD_TEST_SEED"] ?? Date.now() % 1_000_000));
  before(() =>
    shop.start({
      through: async ({ address }) => (relay = await startRelay(address, shop.system.token, () => random.next())).port,
    }),
  );
  after(async () => {
    await shop.close();
    await relay.close();
  });

  /** Several jobs at once, with `fault` in the middle; what must hold of them does, and messages were disturbed. */
  const disturbed = async (t: TestContext, count: number, steps: number, fault: () => Promise<void>) => {
    t.diagnostic(`seed ${random.seed}`);
    const jobs = await Promise.all(Array.from({ length: count }, () => shop.submit(steps)));
    const seen = await Promise.all(jobs.map((job) => shop.under(job, 1)));
    const before = { ...relay.done };
    await fault();
    for (const [index, job] of jobs.entries()) await shop.check(job, seen[index]?.session ?? "", seen[index]?.before ?? []);
    const [twice, swapped] = [relay.done.twice - before.twice, relay.done.swapped - before.swapped];
    t.diagnostic(`${twice} messages came twice, ${swapped} out of order`);
    assert.ok(twice > 2 * steps && swapped > 0);
  };

  it("lose nothing and do nothing twice", async (t) => {
    verifies("A6");
    await disturbed(t, 2, 3, () => Promise.resolve());
  });

  if (!full) return;

  it("lose nothing and do nothing twice when a worker is lost meanwhile", async (t) => {
    const [lost] = shop.workers;
    assert.ok(lost !== undefined);
    await disturbed(t, 3, 5, async () => {
      process.kill(pidOf(lost.service), "SIGKILL");
      await lost.service.ended;
      lost.service = await shop.startWorker(lost.service.name, lost);
    });
  });
});
