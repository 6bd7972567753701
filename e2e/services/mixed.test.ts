import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { temporaryDatabase, type TemporaryDatabase } from "./database.ts";
import { formerRelease } from "./former.ts";
import { shareOut } from "./share-out.ts";
import { type EventLine, pause, type Service, ServiceSystem } from "./system.ts";
import { Workshop } from "./workshop.ts";

/** Needs the former release, from the history: `npm run test:full`. */
const full = process.env["GUILD_TEST_FULL"] !== undefined;

describe("orchestrators of two releases over one database", () => {
  if (!full) return;
  const system = new ServiceSystem();
  let database: TemporaryDatabase;
  let former: ReturnType<typeof formerRelease>;
  let models: Service;
  before(async () => {
    former = formerRelease();
    database = await temporaryDatabase();
    models = await system.start("models", ["models"]);
  });
  after(async () => {
    await system.close();
    await database.close();
    former.remove();
  });

  const orchestrate = (name: string, more: { program?: string; port?: number } = {}): Promise<Service> =>
    system.start(name, ["orchestrator", "gateway"], {
      ...more,
      env: { GUILD_SERVICES_MODELS: models.address, DATABASE_URL: database.url },
    });
  const end = async ({ child, ended }: Service): Promise<void> => {
    child.kill("SIGTERM");
    await ended;
  };

  it("share tasks and logs, are renewed one after the other, and go on where a later release widens the schema", async () => {
    verifies("A2");
    let one = await orchestrate("one", former);
    const two = await orchestrate("two");
    system.gateway = two.address;
    const env = { GUILD_SERVICES_MODELS: models.address, GUILD_WORKERS_SLOTS: "1" };
    let worker = await system.start("worker-1", ["worker"], { join: `${one.address},${two.address}`, program: former.program, env });
    await system.start("worker-2", ["worker"], { join: `${two.address},${one.address}`, env });
    await system.workers(2);

    const under = async (change: () => Promise<void>): Promise<void> => {
      const { tasks, sessions } = await shareOut(system);
      while (!(await all(sessions)).every((events) => events.some(({ kind }) => kind === "checkpointMade"))) await pause(100);
      const before = await all(sessions);
      await change();
      for (const [index, id] of tasks.entries()) {
        const { state, reason } = await system.ended(id);
        assert.equal(state, "succeeded", String(reason));
        const [session = ""] = sessions.slice(index);
        const [there, here] = [names(await system.events(session, one.address)), names(await system.events(session, two.address))];
        assert.deepEqual(there, here, "one order at both");
        assert.deepEqual(here.slice(0, before[index]?.length), names(before[index] ?? []), "nothing acknowledged was lost");
      }
    };
    const all = (sessions: string[]) => Promise.all(sessions.map((session) => system.events(session)));

    // The schema is widened by the release after ours while both work; the former is started anew and finds it.
    await under(async () => {
      await database.widen();
      await end(one);
      one = await orchestrate("one", { ...former, port: one.port });
    });
    // Then it is brought to our release, and its worker.
    await under(async () => {
      await end(one);
      one = await orchestrate("one", { port: one.port });
      await end(worker);
      worker = await system.start("worker-1", ["worker"], { join: `${one.address},${two.address}`, env });
    });
    await system.workers(2);
    // What a later release has made its own is refused in one line, and those that run go on.
    await database.outgrow();
    await under(() =>
      assert.rejects(
        orchestrate("three", former),
        /the database is of schema \d+, this Guildhall knows up to \d+ — use the newer Guildhall/,
      ),
    );
  });
});

/** What every release sees of an event: a later one may know more of it. */
function names(events: EventLine[]): string[] {
  return events.map(({ seq, epoch, kind }) => `${seq} ${epoch} ${kind}`);
}

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
