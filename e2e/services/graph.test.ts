import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { startFakeModelServer } from "@guildhall/core/testing";

import { repository } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";
import { pause, pidOf, type Service, ServiceSystem } from "./system.ts";

/** One worker with room for one task at a time, so that what waits and what makes room shows. */
describe("the graph of tasks", () => {
  const system = new ServiceSystem();
  let worker = "";
  let models: Service;
  before(async () => {
    models = await system.start("models", ["models"]);
    const env = { GUILD_SERVICES_MODELS: models.address };
    const orchestrator = await system.start("orchestrator", ["orchestrator", "gateway"], {
      // What takes minutes in use takes seconds here.
      env: { ...env, GUILD_WORKERS_AGEING_PER_MINUTE: "1500", GUILD_WORKERS_REBALANCE_SECONDS: "1" },
    });
    system.gateway = orchestrator.address;
    await system.start("worker", ["worker"], { join: orchestrator.address, env: { ...env, GUILD_WORKERS_SLOTS: "1" } });
    [worker = ""] = await system.workers(1);
  });
  after(() => system.close());

  const steps = (count: number, seconds: number): string => {
    const one = (n: number) =>
      `  - say: step ${n}\n    calls:\n      - tool: bash\n        args: { command: "echo ${n} >> steps.txt; sleep ${seconds}" }\n`;
    const all = Array.from({ length: count }, (_, n) => one(n + 1)).join("");
    return `steps:\n${all}  - say: done\n    calls:\n      - tool: finish\n        args: { done: true, summary: all is done }\n`;
  };
  const gaveUp = "steps:\n  - say: no\n    calls:\n      - tool: finish\n        args: { done: false, summary: it cannot be done }\n";
  const spec = (name: string, script: string, more: Record<string, unknown> = {}) => {
    const path = join(system.home.directory, name);
    mkdirSync(path, { recursive: true });
    const model = `scripted:${system.home.write(`${name}.yaml`, script)}`;
    return { name, goal: name, workspace: { path }, model, approvalPolicy: "never", ...more };
  };
  const submit = async (...tasks: unknown[]): Promise<Map<string, string>> => {
    const answer = (await system.call("TaskService/SubmitTasks", { tasks })) as { tasks?: Array<{ id: string; spec: { name: string } }> };
    return new Map((answer.tasks ?? []).map(({ id, spec: { name } }) => [name, id]));
  };
  const on = (name: string, onFailure: "FAIL" | "SKIP" | "CONTINUE") => ({ on: name, onFailure: `ON_FAILURE_${onFailure}` });

  it("fails, skips or goes on behind a task that failed, as each edge says, and cancels all that depends on what is cancelled", async () => {
    verifies("E10");
    const ids = await submit(
      spec("broken", gaveUp),
      spec("fails", steps(1, 0), { dependencies: [on("broken", "FAIL")] }),
      spec("skips", steps(1, 0), { dependencies: [on("broken", "SKIP")] }),
      spec("goes-on", steps(1, 0), { dependencies: [on("broken", "CONTINUE")] }),
      spec("after-skipped", steps(1, 0), { dependencies: [on("skips", "CONTINUE"), on("goes-on", "FAIL")] }),
    );
    const ends = new Map<string, string>();
    for (const [name, id] of ids) ends.set(name, (await system.ended(id)).state);
    assert.deepEqual(Object.fromEntries(ends), {
      broken: "failed",
      fails: "failed",
      skips: "skipped",
      "goes-on": "succeeded",
      "after-skipped": "succeeded",
    });

    const chain = await submit(
      spec("first", steps(60, 1)),
      spec("second", steps(1, 0), { dependencies: [on("first", "CONTINUE")] }),
      spec("third", steps(1, 0), { dependencies: [on("second", "SKIP")] }),
    );
    await system.task(chain.get("first") ?? "", ({ state, session }) => state === "running" && session !== "");
    await system.json("task", "cancel", chain.get("first") ?? "");
    for (const id of chain.values()) assert.equal((await system.ended(id)).state, "cancelled");
  });

  it("ends a task whose deadline is over, running or not, and what needs it", async () => {
    const ids = await submit(
      spec("endless", steps(600, 1), { deadlineSeconds: 3 }),
      spec("behind", steps(1, 0), { dependencies: [on("endless", "FAIL")] }),
    );
    const late = await system.ended(ids.get("endless") ?? "");
    assert.equal(late.state, "failed");
    assert.match(String(late["reason"]), /^it has not ended within its 3 seconds$/);
    const behind = await system.ended(ids.get("behind") ?? "");
    assert.equal(behind.state, "failed");
  });

  it("tries a task again whose worker was lost, as often as it says, and then fails it and goes on by its edges", async () => {
    verifies("E10");
    const start = () =>
      system.start("brittle", ["worker"], {
        join: system.gateway,
        env: { GUILD_SERVICES_MODELS: models.address, GUILD_WORKERS_SLOTS: "2", GUILD_WORKERS_LABELS: "kind=brittle" },
      });
    let brittle = await start();
    await system.workers(2);
    const needs = { labels: { kind: "brittle" } };
    const ids = await submit(
      spec("tried-once", steps(60, 1), { needs, maxAttempts: 1 }),
      spec("tried-twice", steps(3, 1), { needs, maxAttempts: 2 }),
      spec("spared", steps(1, 0), { dependencies: [on("tried-once", "SKIP")] }),
      spec("follows", steps(1, 0), { dependencies: [on("tried-once", "CONTINUE"), on("tried-twice", "FAIL")] }),
    );
    const id = (name: string): string => ids.get(name) ?? "";
    for (const name of ["tried-once", "tried-twice"]) {
      const { session } = await system.task(id(name), (task) => task.state === "running" && task["session"] !== "");
      while ((await system.events(String(session))).every(({ kind }) => kind !== "actionStarted"));
    }
    process.kill(pidOf(brittle), "SIGKILL");
    await brittle.ended;
    brittle = await start();
    const once = await system.ended(id("tried-once"));
    assert.deepEqual([once.state, once["attempt"]], ["failed", 1]);
    assert.match(String(once["reason"]), /that was attempt 1 of 1$/);
    const twice = await system.ended(id("tried-twice"));
    assert.deepEqual([twice.state, twice["attempt"]], ["succeeded", 2], String(twice["reason"]));
    assert.equal((await system.ended(id("spared"))).state, "skipped");
    assert.equal((await system.ended(id("follows"))).state, "succeeded");
    brittle.child.kill("SIGTERM");
    await brittle.ended;
    await system.workers(1);
  });

  it("lets what has waited go before what is more urgent and has just come", async () => {
    verifies("E9");
    const free = Promise.withResolvers<void>();
    const server = await startFakeModelServer({
      reply: async () => {
        await free.promise;
        return { calls: [{ tool: "finish", args: { done: true, summary: "done" } }] };
      },
    });
    try {
      const at = ["--model", "vllm/x", "--base-url", `${server.origin}/v1`, "--yes"];
      const queued = async (name: string, priority: number): Promise<string> => {
        const { path } = spec(name, "steps: []").workspace;
        const [task] = await system.json("task", "submit", name, "--workspace", path, "--priority", String(priority), ...at);
        return String(task?.["id"]);
      };
      const blocker = await queued("blocker", 100);
      await system.task(blocker, ({ state }) => state === "running");
      const old = await queued("old", 10);
      // Fifty points, at 25 a second.
      await pause(2_500);
      const fresh = await queued("fresh", 60);
      // Later still, and no more urgent than the old one was.
      const last = await queued("last", 10);
      free.resolve();
      const times = await Promise.all(
        [blocker, old, fresh, last].map(async (id) => Date.parse(String((await system.ended(id))["started"]))),
      );
      assert.deepEqual(
        times,
        times.toSorted((x, y) => x - y),
        "in the order of priority and time waited together",
      );
    } finally {
      await server.close();
    }
  });

  it("makes room for what is far more urgent at the next step, and goes on where it was", async () => {
    verifies("A5", "E9");
    const low = (await submit(spec("patient", steps(5, 1), { priority: 10 }))).get("patient") ?? "";
    const { session } = await system.task(low, (task) => task["session"] !== "");
    while ((await system.events(String(session))).every(({ kind }) => kind !== "actionFinished"));
    const high = (await submit(spec("urgent", steps(1, 0), { priority: 95 }))).get("urgent") ?? "";
    const [first, second] = [await system.ended(high), await system.ended(low)];
    assert.deepEqual([first.state, second.state], ["succeeded", "succeeded"], String(second["reason"]));
    assert.ok(Date.parse(String(first["ended"])) < Date.parse(String(second["ended"])), "the urgent one was not kept waiting");
    assert.equal(second["attempt"], 1, "making room is no lost attempt");
    const events = await system.events(String(session));
    const epochs = new Set(events.map(({ epoch }) => epoch).filter((epoch) => epoch > 0));
    assert.ok(epochs.size > 1, "it was put aside, and taken up again");
    const before = events.filter(({ epoch }) => epoch === Math.min(...epochs)).map(({ kind }) => kind);
    assert.equal(
      before.filter((kind) => kind === "actionStarted").length,
      before.filter((kind) => kind === "actionFinished").length,
      "between two steps",
    );
    assert.ok(before.includes("checkpointMade"));
    assert.equal(second["worker"], worker);
  });

  it("moves sessions at work to a worker that joins, when theirs is full, between two steps, and loses nothing", async () => {
    verifies("A4", "E8");
    // A machine that stands still for seconds has workers give up what they have: then it is tried again.
    for (let round = 1; !(await movesHalf(round)); round += 1) assert.ok(round < 5, "workers give up what they have again and again");
  });

  async function movesHalf(round: number): Promise<boolean> {
    const moved = Promise.withResolvers<void>();
    const server = await startFakeModelServer({
      reply: async ({ turns, body }) => {
        const behind = turns === 0 && JSON.stringify(body).includes("stays-behind") ? "sleep 3600 >&- 2>&- & " : "";
        // Steps go on until the pool has moved what it moves.
        const over = turns < 2 ? false : await Promise.race([moved.promise.then(() => true), pause(200).then(() => false)]);
        if (over) return { calls: [{ tool: "finish", args: { done: true, summary: "done" } }] };
        return { calls: [{ tool: "bash", args: { command: `${behind}echo ${turns + 1} >> steps.txt` } }] };
      },
    });
    const started: Service[] = [];
    try {
      const env = { GUILD_SERVICES_MODELS: models.address, GUILD_WORKERS_SLOTS: "4", GUILD_WORKERS_LABELS: `pair=${round}` };
      const start = async (name: string) => started.push(await system.start(`${name}-${round}`, ["worker"], { join: system.gateway, env }));
      await start("full");
      await system.workers(2);
      const origin = join(system.home.directory, `origin-${round}`);
      mkdirSync(origin);
      repository(origin);
      const model = { model: "vllm/x", baseUrl: `${server.origin}/v1`, needs: { labels: { pair: String(round) } } };
      const clone = { workspace: { gitUrl: `file://${origin}` }, ...model };
      const specs = { "stays-behind": model, shared: model, "clone-1": clone, "clone-2": clone };
      const ids = await submit(...Object.entries(specs).map(([name, more]) => ({ ...spec(`${name}-${round}`, "", more), ...more })));
      const places = async (): Promise<string[]> =>
        await Promise.all(
          [...ids.values()].map(async (id) => String((await system.task(id, ({ state }) => state === "running"))["worker"])),
        );
      const before = new Set(await places());
      await start("joins");
      await system.workers(3);
      const gaveUp = (): boolean => started.some(({ errors }) => errors.includes("given up"));
      while (!gaveUp() && (await places()).filter((id) => !before.has(id)).length < 2) await pause(200);
      moved.resolve();
      const tasks = await Promise.all([...ids].map(async ([name, id]) => Object.assign(await system.ended(id), { name })));
      if (gaveUp()) return false;
      assert.equal(before.size, 1);
      assert.deepEqual(new Set(tasks.map(({ state }) => state)), new Set(["succeeded"]));
      const there = tasks.filter((task) => !before.has(String(task["worker"])));
      assert.equal(there.length, 2, "and no more, nor back");
      assert.ok(
        there.every(({ name }) => !name.startsWith("stays-behind")),
        "a process was left running there",
      );
      for (const task of tasks) {
        assert.equal(task["attempt"], 1, "to move is no lost attempt");
        const events = await system.events(String(task["session"]));
        const leases = events.filter(({ kind }) => kind === "leaseTaken");
        assert.equal(leases.length, there.includes(task) ? 2 : 1);
        const notices = events.filter(({ kind }) => kind === "noticeGiven").map((event) => event["noticeGiven"] as Record<string, string>);
        const why = notices.filter((notice) => notice["kind"] === "moved").map((notice) => notice["text"]);
        if (there.includes(task))
          assert.match(String(why), new RegExp(`^The session goes on at worker ${task["worker"]}, which was .* % taken; `));
        else assert.deepEqual(why, []);
        // What was begun before a worker left has ended there.
        for (const { epoch } of leases) {
          const own = events.filter((event) => event.epoch === epoch).map(({ kind }) => kind);
          assert.equal(own.filter((kind) => kind === "actionStarted").length, own.filter((kind) => kind === "actionFinished").length);
        }
        const { stdout } = await system.guild(["task", "result", task.id, "--patch"]);
        const steps = [...stdout.matchAll(/^\+(\d+)$/gm)].map(([, step]) => Number(step));
        assert.ok(steps.length >= 2);
        assert.deepEqual(
          steps,
          steps.map((_, index) => index + 1),
          "every step, in order, none twice",
        );
      }
      return true;
    } finally {
      for (const { child, ended } of started.toReversed()) {
        child.kill("SIGTERM");
        await ended;
      }
      await system.workers(1);
      await server.close();
    }
  }
});
