import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { formerRelease } from "./former.ts";
import { Workshop } from "./workshop.ts";

/** Needs the former release, from the history: `npm run test:full`. */
const full = process.env["GUILD_TEST_FULL"] !== undefined;

describe("services of two releases", () => {
  if (!full) return;
  const shop = new Workshop();
  let former: ReturnType<typeof formerRelease>;
  before(async () => {
    former = formerRelease();
    shop.program = former.program;
    await shop.start();
    shop.program = undefined;
  });
  after(async () => {
    await shop.close();
    former.remove();
  });

  /** Three tasks that go on while `change` happens. */
  const under = async (change: () => Promise<void>): Promise<void> => {
    const jobs = await Promise.all([shop.submit(6), shop.submit(6), shop.submit(6)]);
    const seen = await Promise.all(jobs.map((job) => shop.under(job, 1)));
    await change();
    for (const [index, job] of jobs.entries()) await shop.check(job, seen[index]?.session ?? "", seen[index]?.before ?? []);
  };
  const renew = async (index: number): Promise<void> => {
    const worker = shop.workers[index];
    if (worker === undefined) return;
    worker.service.child.kill("SIGTERM");
    await worker.service.ended;
    worker.service = await shop.startWorker(worker.service.name, worker);
    await shop.system.workers(2);
  };

  it("work together while one after the other is brought to the later, under load", async () => {
    verifies("A2");
    // A worker of ours at an orchestrator of theirs.
    await under(() => renew(0));
    // Our models, then our orchestrator, with a worker of theirs.
    await under(async () => {
      shop.models.child.kill("SIGTERM");
      await shop.models.ended;
      shop.models = await shop.startModels(shop.models.port);
      shop.orchestrator.child.kill("SIGTERM");
      await shop.orchestrator.ended;
      await shop.startOrchestrator(shop.orchestrator.port);
    });
    await under(() => renew(1));
  });
});
