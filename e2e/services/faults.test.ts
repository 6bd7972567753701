import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";

import { verifies } from "../verifies.ts";
import { pause, pidOf } from "./system.ts";
import { marked, type Outpost, Workshop } from "./workshop.ts";

/** Everything, not a sample: `npm run test:full`. */
const full = process.env["GUILD_TEST_FULL"] !== undefined;

describe("services that die, stop and lose each other", () => {
  const shop = new Workshop();
  before(() => shop.start());
  after(() => shop.close());

  /** A fault at a worker: the other goes on, and when it does nothing of the first is left. */
  const takenOver = async (t: TestContext, steps: number, fault: (worker: Outpost) => void) => {
    const job = await shop.submit(steps);
    const { session, before: acknowledged, worker } = await shop.under(job, 2);
    const left = marked(job.mark);
    assert.equal(left.length, 1, "its first step has left a process");
    fault(worker);
    const took = await shop.takeover(session, acknowledged);
    t.diagnostic(`takeover after ${took} ms`);
    assert.deepEqual(marked(job.mark), [], "the sandbox of the first is dead");
    return { job, worker, check: () => shop.check(job, session, acknowledged) };
  };

  it("go on without a worker that is suspended, which does nothing more when it comes back", async (t) => {
    verifies("A3");
    const { worker, check } = await takenOver(t, 4, ({ service }) => process.kill(pidOf(service), "SIGSTOP"));
    process.kill(pidOf(worker.service), "SIGCONT");
    await check();
    await shop.system.workers(2);
  });

  it("go on after a worker was suspended for so short that nobody else missed it", async () => {
    const job = await shop.submit(4);
    const { session, before: acknowledged, worker } = await shop.under(job, 1);
    process.kill(pidOf(worker.service), "SIGSTOP");
    // Longer than its sandbox lives without it.
    await pause(5_200);
    process.kill(pidOf(worker.service), "SIGCONT");
    await shop.check(job, session, acknowledged);
    await shop.system.workers(2);
  });

  for (const cut of full ? (["both", "up", "down", "unplugged"] as const) : (["down"] as const)) {
    it(`go on without a worker whose network is parted from theirs: ${cut}`, async (t) => {
      verifies("A3");
      const { worker, check } = await takenOver(t, 4, ({ wire }) => (wire.cut = cut));
      worker.wire.mend();
      await check();
      await shop.system.workers(2);
    });
  }

  it("go on after the orchestrator was killed, with what runs", async () => {
    const job = await shop.submit(5);
    const { session, before: acknowledged } = await shop.under(job, 2);
    process.kill(pidOf(shop.orchestrator), "SIGKILL");
    await shop.orchestrator.ended;
    await shop.startOrchestrator(shop.orchestrator.port);
    await shop.check(job, session, acknowledged);
    await shop.system.workers(2);
  });

  it("go on while clocks are set, with all their time", async () => {
    const job = await shop.submit(4, { limits: { maxSeconds: 1_800 }, deadlineSeconds: 1_800 });
    const { session, before: acknowledged, worker } = await shop.under(job, 1);
    const day = 86_400_000;
    for (const name of [worker.service.name, "orchestrator"]) {
      for (const ms of [day, -day, 0]) {
        shop.setClock(name, ms);
        await pause(400);
      }
    }
    await shop.check(job, session, acknowledged);
    // And one that was wrong from the beginning.
    shop.setClock(worker.service.name, 3 * day);
    await pause(300);
    const late = await shop.submit(2, { limits: { maxSeconds: 1_800 }, deadlineSeconds: 1_800 });
    const begun = await shop.under(late, 1);
    await shop.check(late, begun.session, begun.before);
    shop.setClock(worker.service.name, 0);
  });

  it("go on when clocks are set between two turns, and within one, with all their time", async () => {
    const { home } = shop.system;
    const turn = (n: number) =>
      `  - say: begun\n    calls:\n      - tool: bash\n        args: { command: "sleep 0.6; echo ${n}" }\n  - say: turn ${n} is over\n`;
    const script = home.write("turns.yaml", `steps:\n${[1, 2, 3, 4].map(turn).join("")}`);
    const workspace = join(home.directory, "turns");
    mkdirSync(workspace);
    const { session } = (await shop.system.call("SessionService/CreateSession", {
      workspace,
      goal: "turn 1",
      model: `scripted:${script}`,
      approvalPolicy: "never",
      limits: { maxSeconds: 600 },
    })) as { session: { id: string } };
    const hour = 3_600_000;
    const set = async (ms: number) => {
      shop.setClock("orchestrator", ms);
      await pause(250);
    };
    // The first turn seems to last an hour; later ones seem to begin before others have ended, and after.
    await shop.until(session.id, "modelReplied");
    await set(hour);
    for (const [index, ms] of [-hour, 0, hour].entries()) {
      await shop.until(session.id, "turnEnded", index + 1);
      await set(ms);
      await shop.system.call("SessionService/SendInput", { sessionId: session.id, message: { text: `turn ${index + 2}` }, attended: true });
    }
    await shop.until(session.id, "turnEnded", 4);
    await set(0);
    const ends = (await shop.system.events(session.id)).filter(({ kind }) => kind === "turnEnded");
    for (const { turnEnded } of ends)
      assert.equal((turnEnded as { reason: string }).reason, "TURN_END_REASON_WAITING", JSON.stringify(turnEnded));
  });

  it("go on over lines that hold packets back and break", async () => {
    const job = await shop.submit(4);
    const { session, before: acknowledged, worker } = await shop.under(job, 1);
    for (const { cable } of shop.workers) cable.delayMs = 150;
    for (let round = 0; round < 6; round++) {
      await pause(400);
      worker.cable.tear();
    }
    await shop.check(job, session, acknowledged);
    for (const { cable } of shop.workers) cable.delayMs = 0;
  });

  if (!full) return;

  it("go on without a worker that is killed", async (t) => {
    const { worker, check } = await takenOver(t, 4, ({ service }) => process.kill(pidOf(service), "SIGKILL"));
    await check();
    worker.service = await shop.startWorker(worker.service.name, worker);
    await shop.system.workers(2);
  });

  it("go on after the models service was killed", async () => {
    const job = await shop.submit(5);
    const { session, before: acknowledged } = await shop.under(job, 2);
    process.kill(pidOf(shop.models), "SIGKILL");
    await shop.models.ended;
    await pause(1_500);
    shop.models = await shop.system.start("models", ["models"], { port: shop.models.port });
    await shop.check(job, session, acknowledged);
  });

  it("go on after the database was killed", async () => {
    const job = await shop.submit(5);
    const { session, before: acknowledged } = await shop.under(job, 2);
    const file = join(shop.system.home.directory, "orchestrator/data/postgres/postmaster.pid");
    process.kill(Number(readFileSync(file, "utf8").split("\n")[0]), "SIGKILL");
    await shop.check(job, session, acknowledged);
  });

  it("are each started anew while they work, one after the other, and nothing of the work is lost", async () => {
    const jobs = await Promise.all([shop.submit(8), shop.submit(8), shop.submit(8)]);
    const seen = await Promise.all(jobs.map((job) => shop.under(job, 1)));
    for (const worker of shop.workers) {
      worker.service.child.kill("SIGTERM");
      await worker.service.ended;
      worker.service = await shop.startWorker(worker.service.name, worker);
      await shop.system.workers(2);
    }
    shop.models.child.kill("SIGTERM");
    await shop.models.ended;
    shop.models = await shop.system.start("models", ["models"], { port: shop.models.port });
    shop.orchestrator.child.kill("SIGTERM");
    await shop.orchestrator.ended;
    await shop.startOrchestrator(shop.orchestrator.port);
    for (const [index, job] of jobs.entries()) await shop.check(job, seen[index]?.session ?? "", seen[index]?.before ?? []);
  });
});
