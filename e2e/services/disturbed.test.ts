import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { verifies } from "../verifies.ts";
import { startRelay } from "./relay.ts";
import { pidOf } from "./system.ts";
import { Workshop } from "./workshop.ts";

/** Everything, not a sample: `npm run test:full`. */
const full = process.env["GUILD_TEST_FULL"] !== undefined;

describe("messages that come twice, late and out of order", () => {
  if (!full) return;
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

  it("lose nothing and do nothing twice, also when a worker is lost meanwhile", async (t) => {
    verifies("A6");
    t.diagnostic(`seed ${random.seed}`);
    const jobs = await Promise.all([shop.submit(5), shop.submit(5), shop.submit(5)]);
    const seen = await Promise.all(jobs.map((job) => shop.under(job, 1)));
    const [lost] = shop.workers;
    assert.ok(lost !== undefined);
    process.kill(pidOf(lost.service), "SIGKILL");
    await lost.service.ended;
    lost.service = await shop.startWorker(lost.service.name, lost);
    for (const [index, job] of jobs.entries()) await shop.check(job, seen[index]?.session ?? "", seen[index]?.before ?? []);
    const { twice, swapped } = relay.done;
    t.diagnostic(`${twice} messages came twice, ${swapped} out of order`);
    assert.ok(twice > 20 && swapped > 5);
  });
});
