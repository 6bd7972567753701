import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { temporaryDatabase, type TemporaryDatabase } from "./database.ts";
import { shareOut } from "./share-out.ts";
import { type EventLine, pause, pidOf, type Service, ServiceSystem } from "./system.ts";

/** Two orchestrators over one database and no common disk, a worker at each, and knowledge beside them. */
describe("two orchestrators", () => {
  const system = new ServiceSystem();
  let database: TemporaryDatabase;
  let models: Service;
  const orchestrators: Service[] = [];
  before(async () => {
    [database, models] = await Promise.all([temporaryDatabase(), system.start("models", ["models"])]);
    const env = { GUILD_SERVICES_MODELS: models.address, DATABASE_URL: database.url };
    orchestrators.push(...(await Promise.all(["one", "two"].map((name) => system.start(name, ["orchestrator", "gateway"], { env })))));
    const [one, two] = orchestrators.map(({ address }) => address);
    system.gateway = one ?? "";
    const joins = { "worker-1": `${one},${two}`, "worker-2": `${two},${one}` };
    await Promise.all(
      Object.entries(joins).map(([name, join]) =>
        system.start(name, ["worker"], { join, env: { GUILD_SERVICES_MODELS: models.address, GUILD_WORKERS_SLOTS: "1" } }),
      ),
    );
    // Each of them shows both workers, wherever they have joined.
    for (const { address } of orchestrators) await system.workers(2, address);
  });
  after(async () => {
    await system.close();
    await database.close();
  });

  const follow = async (address: string, session: string): Promise<EventLine[]> => {
    const seen: EventLine[] = [];
    // From a cursor, again and again, as a client that is slow and loses its connection.
    for (let from = 1; ;) {
      const ended = new AbortController();
      const request = { sessionId: session, fromSeq: from, follow: true, untilTurnEnd: true };
      for await (const { events = [] } of system.stream("SessionService/WatchSession", request, { address, signal: ended.signal })) {
        seen.push(...(events as EventLine[]));
        from = Number(seen.at(-1)?.["seq"] ?? 0) + 1;
        if (seen.length % 3 === 0) break;
      }
      ended.abort();
      if (seen.some((event) => "turnEnded" in event)) return seen;
    }
  };

  it("show, count and drain the workers of both", async () => {
    const [one, two] = orchestrators;
    assert.ok(one !== undefined && two !== undefined);
    const workers = async (address: string) =>
      ((await system.call("PoolService/ListWorkers", {}, address)) as { workers: Array<Record<string, unknown>> }).workers;
    const elsewhere = (await workers(one.address)).find(({ orchestratorId = "" }) => orchestratorId !== "");
    assert.ok(elsewhere !== undefined, "one of the two has joined the other orchestrator");
    const there = (await workers(two.address)).find(({ id }) => id === elsewhere["id"]);
    assert.equal(there?.["orchestratorId"] ?? "", "", "where it has joined it is its own");
    const leaving = await system.start("worker-3", ["worker"], { join: two.address, env: { GUILD_WORKERS_SLOTS: "1" } });
    const ids = await system.workers(3, one.address);
    const third = ids.find((id) => leaving.errors.includes(id)) ?? "";
    const { code, stderr } = await system.guild(["pool", "drain", third]);
    assert.equal(code, 0, stderr);
    for (;;) {
      const drained = (await workers(two.address)).find(({ id }) => id === third);
      if (drained === undefined || drained["draining"] === true) break;
      await pause(200);
    }
    const unknown = await system.guild(["pool", "drain", "wrk_nobody"]);
    assert.match(unknown.stderr, /there is no worker wrk_nobody/);
    leaving.child.kill("SIGTERM");
    await leaving.ended;
  });

  it("show what is on its way in a session of the other, from its beginning to who comes late, masked, and before the log has it", async () => {
    verifies("A6");
    const workspace = join(system.home.directory, "live");
    mkdirSync(workspace);
    const secret = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
    const command = `echo token ${secret}; for n in $(seq 1 16); do echo line $n; sleep 0.15; done`;
    const script = system.home.write(
      "live.yaml",
      `steps:\n  - say: listening\n    calls:\n      - tool: bash\n        args: { command: "${command}" }\n  - say: all is said\n`,
    );
    const request = { workspace, goal: "talk", model: `scripted:${script}`, approvalPolicy: "never" };
    const { session } = (await system.call("SessionService/CreateSession", request)) as { session: { id: string } };
    const task = await (async () => {
      for (;;) {
        const { tasks = [] } = (await system.call("TaskService/ListTasks", {})) as { tasks?: Array<Record<string, string>> };
        const own = tasks.find(({ sessionId, workerId = "" }) => sessionId === session.id && workerId !== "");
        if (own !== undefined) return own;
        await pause(50);
      }
    })();
    const { workers } = (await system.call("PoolService/ListWorkers", {})) as { workers: Array<Record<string, string>> };
    // At the gateway a worker of the other orchestrator is named with its own.
    const here = (workers.find(({ id }) => id === task["workerId"])?.["orchestratorId"] ?? "") === "";
    const [one = "", two = ""] = orchestrators.map(({ address }) => address);
    const [own, other] = here ? [one, two] : [two, one];
    const watch = (address: string) => watchLive(system, address, session.id);
    const first = [watch(own), watch(other)];
    while (!(await Promise.race([first[1]?.begun, pause(50)]))) if (first[1]?.ended) assert.fail("nothing came before the end");
    const late = watch(other);
    for (const { done, ...seen } of [...first, late]) {
      const whole = await done;
      assert.match(whole, /^token .*\n(line \d+\n){16}/);
      assert.ok(seen.pieces() > 3, `${seen.pieces()} pieces came before the log had them`);
      assert.ok(!seen.shown().includes(secret) && whole.startsWith(seen.shown()), `shown:\n${seen.shown()}\nin the log:\n${whole}`);
    }
  });

  it("share tasks, and tell all who watch the same, in one order, while the database's clock is set; one dies and the other goes on", async (t) => {
    verifies("A3", "A6");
    const [one, two] = orchestrators;
    assert.ok(one !== undefined && two !== undefined);
    // The one that has left is missed by both, by now or soon.
    for (const { address } of orchestrators) await system.workers(2, address);
    const { origins, tasks, sessions } = await shareOut(system);
    const all = (address?: string) => Promise.all(sessions.map((session) => system.events(session, address)));
    const [first = ""] = sessions;
    const [here, there] = [follow(one.address, first), follow(two.address, first)];
    while (!(await all()).some((events) => events.some(({ kind }) => kind === "checkpointMade"))) await pause(100);
    const read = [await all()];
    await database.setClock(3_600_000);
    // All leases are over at once, and each session goes on under another, if it has not ended meanwhile.
    const epochOf = (events: EventLine[] = []) => Math.max(...events.map(({ epoch }) => epoch));
    const through = (events: EventLine[], index: number): boolean =>
      epochOf(events) > epochOf(read[0]?.[index]) || events.some(({ kind }) => kind === "turnEnded");
    while (!(await all()).every(through)) await pause(100);
    read.push(await all());
    // All leases and claims of these seconds run for an hour.
    await database.setClock(0);
    assert.deepEqual(await here, await there, "one order");
    read.push(await all(two.address));
    for (const id of tasks) assert.equal((await system.task(id, () => true))["attempt"], 1, "nobody was taken for dead");
    process.kill(pidOf(one), "SIGKILL");
    await one.ended;
    system.gateway = two.address;
    for (const [index, id] of tasks.entries()) {
      const { state, reason } = await system.ended(id);
      assert.equal(state, "succeeded", String(reason));
      const events = await system.events(sessions[index] ?? "");
      for (const earlier of read)
        assert.deepEqual(events.slice(0, earlier[index]?.length), earlier[index], "nothing acknowledged was lost");
      const steps = execFileSync("git", ["show", "result:steps.txt"], { cwd: origins[index], encoding: "utf8" }).trim().split("\n");
      assert.deepEqual(steps, [...new Set(steps)].toSorted(), "in order, none twice");
      const interrupted = events.filter((event) => JSON.stringify(event).includes("ACTION_STATUS_INTERRUPTED")).length;
      t.diagnostic(`${steps.length} of 6 steps, ${interrupted} interrupted, ${new Set(events.map(({ epoch }) => epoch)).size - 1} writers`);
      assert.ok(6 - steps.length <= interrupted, `${steps.join(" ")} of 6, ${interrupted} interrupted`);
    }
    await system.workers(2);
  });
});

/** What a watcher is shown of the output of a session's first command until the log has it. */
function watchLive(system: ServiceSystem, address: string, session: string) {
  let shown = "";
  let pieces = 0;
  let ended = false;
  const begun = Promise.withResolvers<true>();
  const done = (async () => {
    const request = { sessionId: session, fromSeq: 1, follow: true, untilTurnEnd: true, deltas: true };
    let whole: string | undefined;
    for await (const { events = [], deltas = [] } of system.stream("SessionService/WatchSession", request, { address })) {
      for (const { actionFinished } of events as Array<{ actionFinished?: { output: string } }>) whole ??= actionFinished?.output;
      for (const { output } of deltas as Array<{ output?: { text: string } }>) {
        if (output === undefined || whole !== undefined) continue;
        shown += output.text;
        pieces += 1;
        begun.resolve(true);
      }
    }
    ended = true;
    return whole ?? "";
  })();
  return {
    begun: begun.promise,
    done,
    shown: () => shown,
    pieces: () => pieces,
    get ended() {
      return ended;
    },
  };
}
