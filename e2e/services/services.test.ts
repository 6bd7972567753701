import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { startFakeModelServer } from "@guildhall/core/testing";
import { WorkerService } from "@guildhall/protocol/internal";

import { openPeer } from "../../packages/server/src/rpc/peer.ts";
import { repository } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";
import { pause, pidOf, type Service, ServiceSystem } from "./system.ts";

/** A script of steps that each append a line to a file, then finish. */
function script(steps: number, seconds: number): string {
  const step = (n: number) =>
    `  - say: step ${n}\n    calls:\n      - tool: bash\n        args: { command: "echo ${n} >> steps.txt; sleep ${seconds}" }\n`;
  const all = Array.from({ length: steps }, (_, index) => step(index + 1)).join("");
  return `steps:\n${all}  - say: done\n    calls:\n      - tool: finish\n        args: { done: true, summary: all steps are done }\n`;
}

describe("five services as processes of their own", () => {
  const system = new ServiceSystem();
  let models: Service;
  let orchestrator: Service;
  const workers: Service[] = [];
  const workspace = (name: string): string => {
    const directory = join(system.home.directory, name);
    mkdirSync(directory, { recursive: true });
    return directory;
  };
  const submit = async (...args: string[]): Promise<string> => String((await system.json("task", "submit", ...args))[0]?.["id"]);
  before(async () => {
    models = await system.start("models", ["models"]);
    orchestrator = await system.start("orchestrator", ["orchestrator"], {
      env: { GUILD_SERVICES_MODELS: models.address, GUILD_WORKERS_SHARES: "acme=3", GUILD_WORKERS_LIMITS: "acme/web=1,acme:memory=500" },
    });
    const gateway = await system.start("gateway", ["gateway"], { join: orchestrator.address });
    system.gateway = gateway.address;
    const env = { GUILD_SERVICES_MODELS: models.address, GUILD_WORKERS_SLOTS: "2" };
    const start = (name: string) => system.start(name, ["worker"], { join: orchestrator.address, env });
    workers.push(...(await Promise.all(["worker-1", "worker-2"].map(start))));
    await system.workers(2);
  });
  after(() => system.close());

  it("run a session that is asked for at the gateway", async () => {
    verifies("A2");
    const file = system.home.write("one.yaml", script(2, 0));
    const { code, stdout, stderr } = await system.guild([
      "run",
      "two steps",
      "--workspace",
      workspace("run"),
      "--model",
      `scripted:${file}`,
      "--yes",
    ]);
    assert.equal(code, 0, stderr + stdout);
    assert.equal(readFileSync(join(system.home.directory, "run/steps.txt"), "utf8"), "1\n2\n");
  });

  it("show at the gateway what a model says at a worker before its reply is whole", async () => {
    verifies("A2");
    const [watched, read] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const calls = [{ tool: "finish", args: { done: true, summary: "all is said" } }];
    const server = await startFakeModelServer({
      reply: async () => {
        await watched.promise;
        return { text: "slowly said", pieces: 2, heldUntil: read.promise, calls };
      },
    });
    try {
      const url = `${server.origin}/v1`;
      const id = await submit("say it", "--workspace", workspace("said"), "--model", "vllm/x", "--base-url", url, "--yes");
      const { session } = await system.task(id, (task) => task["session"] !== "");
      const request = { sessionId: session, fromSeq: 1, follow: true, deltas: true, untilTurnEnd: true };
      const seen: string[] = [];
      // Nothing would ever come if nobody told.
      const signal = AbortSignal.timeout(120_000);
      for await (const { deltas = [], events = [] } of system.stream("SessionService/WatchSession", request, { signal })) {
        for (const { waiting, text } of deltas as Array<Record<string, string>>) {
          if (waiting === "model") watched.resolve();
          if (text === undefined) continue;
          seen.push(text);
          read.resolve();
        }
        for (const event of events as Array<Record<string, unknown>>) if ("modelReplied" in event) seen.push("the reply");
      }
      assert.ok(seen[0] !== undefined && seen[0] !== "" && "slowly said".startsWith(seen[0]), JSON.stringify(seen));
      assert.ok(seen.includes("the reply"));
      assert.equal((await system.ended(id)).state, "succeeded");
    } finally {
      await server.close();
    }
  });

  it("spread tasks over workers, in the order of their graph", async (t) => {
    verifies("A3", "A4", "E8", "E10");
    const both = Promise.withResolvers<void>();
    let asked = 0;
    const server = await startFakeModelServer({
      reply: async () => {
        // The first waits for the second: else it may be over before the other worker has room, and both are done by one.
        if (++asked === 2) both.resolve();
        await both.promise;
        return { calls: [{ tool: "finish", args: { done: true, summary: "done" } }] };
      },
    });
    t.after(() => server.close());
    const tasks = ["a", "b", "c"].map((name) => ({
      name,
      goal: `part ${name}`,
      workspace: workspace(`graph-${name}`),
      model: "vllm/x",
      baseUrl: `${server.origin}/v1`,
      yes: true,
      // No worker has room for two of these. (Memory, because a sandbox of an ordinary user has no CPUs to share out.)
      memory: (totalmem() * 2) / 3 / 2 ** 20,
      ...(name === "c" ? { after: ["a", "b"] } : {}),
    }));
    const graph = system.home.write("graph.json", JSON.stringify(tasks));
    const lines = await system.json("task", "graph", graph, "--wait");
    const ends = lines.filter(({ state }) => state === "succeeded");
    assert.equal(ends.length, 3);
    assert.equal(ends.at(-1)?.["name"], "c");
    assert.equal(new Set(ends.filter(({ name }) => name !== "c").map(({ worker }) => worker)).size, 2, "one each");
  });

  it("refuse in one line what cannot be", async () => {
    verifies("A5", "E10");
    const here = workspace("refused");
    const bad = async (pattern: RegExp, ...args: string[]) => {
      const { code, stderr } = await system.guild(args);
      assert.notEqual(code, 0);
      assert.match(stderr, pattern);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    };
    const circle = system.home.write(
      "circle.json",
      JSON.stringify([
        { name: "a", goal: "x", after: ["b"] },
        { name: "b", goal: "y", after: ["a"] },
      ]),
    );
    await bad(/in a circle: a → b → a/, "task", "graph", circle);
    const many = system.home.write("many.json", JSON.stringify(Array.from({ length: 10_000 }, (_, n) => ({ name: `t${n}`, goal: "x" }))));
    await bad(/a graph of 10000 tasks is too large/, "task", "graph", many);
    const fat = system.home.write("fat.json", JSON.stringify([{ name: "fat", goal: "x".repeat(65 << 20) }]));
    await bad(/one message holds more than is taken.* — send less at once/, "task", "graph", fat);
    await bad(/no worker can ever take this task: .* CPUs of 5000/, "task", "submit", "x", "--workspace", here, "--cpu", "5000");
    await bad(
      /no worker can ever take this task: .*labelled zone=moon/,
      "task",
      "submit",
      "x",
      "--workspace",
      here,
      "--label",
      "zone=moon",
    );
    await bad(/no task tsk_none/, "task", "show", "tsk_none");
    await bad(/there is no service kitchen/, "serve", "kitchen");
    await bad(/the worker needs an orchestrator to join/, "serve", "worker");
    await bad(/cannot listen: .*EADDRINUSE/, "serve", "models", "--listen", models.address);
    await bad(/plain text is served on loopback only/, "serve", "models", "--listen", "0.0.0.0:0");
    await bad(/plain text leaves this machine/, "serve", "worker", "--join", "192.0.2.1:7401");
  });

  it("refuse with a typed status a worker that is too old, and a request that is too large", async () => {
    const peer = openPeer(orchestrator.address, { token: system.token });
    const hello = { workerId: "wrk_old", version: "0.0.1", protocolMin: 0, protocolMax: 0 };
    const said = (async function* () {
      yield { kind: { case: "hello" as const, value: hello } };
    })();
    const joining = async () => {
      for await (const answer of createClient(WorkerService, peer.transport).join(said)) assert.fail(`it was welcome: ${answer.kind.case}`);
    };
    await assert.rejects(joining, (error) => {
      const { code, rawMessage } = ConnectError.from(error);
      return code === Code.FailedPrecondition && /the worker is too old: it speaks protocol 0 to 0, here is \d+/.test(rawMessage);
    });
    peer.close();
    const workers = await system.workers(2);
    assert.ok(!workers.includes("wrk_old"));
    const large = { tasks: [{ goal: "x".repeat(65 << 20) }] };
    await assert.rejects(system.call("TaskService/SubmitTasks", large), /resource_exhausted/);
  });

  it("share the pool out by organisation, and hold what runs of a project at once to its limit", async () => {
    verifies("A4", "A5", "E9");
    const file = system.home.write("shares.yaml", script(1, 1));
    const tasks = ["a", "b", "c"].map((name) => ({
      name,
      goal: `part ${name}`,
      workspace: workspace(`shares-${name}`),
      model: `scripted:${file}`,
      yes: true,
      // The third counts against its organisation's memory alone, which is enough for one of them.
      project: name === "c" ? "acme/app" : "acme/web",
      memory: 300,
    }));
    const large = await system.guild([
      "task",
      "submit",
      "x",
      "--workspace",
      workspace("large"),
      "--project",
      "acme/app",
      "--memory",
      "501",
    ]);
    assert.match(large.stderr, /acme may have 500 MiB of memory at once, and the task asks for 501/);
    const lines = await system.json("task", "graph", system.home.write("shares.json", JSON.stringify(tasks)));
    const share = (await system.json("pool", "list")).find(({ id, type }) => id === "acme" && type === "share");
    assert.equal(share?.["weight"], 3);
    assert.deepEqual([Number(share?.["queued"]) + Number(share?.["running"]) <= 3, Number(share?.["running"]) <= 1], [true, true]);
    const ends = await Promise.all(lines.map(({ id }) => system.ended(String(id))));
    assert.deepEqual(new Set(ends.map(({ state }) => state)), new Set(["succeeded"]));
    const times = ends.map(({ started, ended }) => [Date.parse(String(started)), Date.parse(String(ended))] as const);
    const [first, second, third] = times.toSorted((x, y) => x[0] - y[0]);
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    assert.ok(first[1] <= second[0] && second[1] <= third[0], "one after the other");
  });

  it("hold a task to the disk that it asked for", async () => {
    verifies("A5");
    const call = (tool: string, args: object) => `      - { tool: ${tool}, args: ${JSON.stringify(args)} }\n`;
    const fill = `  - say: filling\n    calls:\n${call("bash", { command: "exec head -c 3000000000 /dev/zero > large" })}`;
    const done = `  - say: done\n    calls:\n${call("finish", { done: true, summary: "all is done" })}`;
    const file = system.home.write("disk.yaml", `steps:\n${fill}${done}`);
    const here = workspace("disk");
    const id = await submit("fill it", "--workspace", here, "--model", `scripted:${file}`, "--yes", "--disk", "64");
    const { session } = await system.task(id, ({ state }) => state === "succeeded");
    assert.match(JSON.stringify(await system.events(String(session))), /disk limit/);
    assert.ok(statSync(join(here, "large")).size < 3_000_000_000);
  });

  it("hold a project's budget over all workers", async () => {
    verifies("A5");
    await system.json("budget", "set", "org", "--steps", "3");
    const file = system.home.write("budget.yaml", script(5, 0));
    const id = await submit(
      "five steps",
      "--workspace",
      workspace("budget"),
      "--model",
      `scripted:${file}`,
      "--yes",
      "--project",
      "org/web",
    );
    const task = await system.task(id, ({ state }) => state === "failed" || state === "succeeded");
    assert.equal(task["state"], "failed");
    assert.match(String(task["reason"]), /budget org/);
    const [budget] = await system.json("budget", "show", "org");
    assert.deepEqual(
      [budget?.["spent"], budget?.["reserved"]].map((amounts) => (amounts as { steps: number }).steps),
      [3, 0],
    );
  });

  it("clone a repository for a task and push its result to a branch", async () => {
    const origin = workspace("origin");
    repository(origin);
    const file = system.home.write("clone.yaml", script(1, 0));
    const id = await submit("one step", "--git", `file://${origin}`, "--push", "result", "--model", `scripted:${file}`, "--yes");
    await system.task(id, ({ state }) => state === "succeeded");
    assert.equal(pushed(origin), "1\n");
  });

  it("fail a task whose result cannot be pushed, and keep the result", async () => {
    const origin = workspace("closed");
    repository(origin);
    writeFileSync(join(origin, ".git/hooks/pre-receive"), "#!/bin/sh\necho nobody pushes here >&2; exit 1\n", { mode: 0o755 });
    const file = system.home.write("closed.yaml", script(1, 0));
    const id = await submit("one step", "--git", `file://${origin}`, "--push", "result", "--model", `scripted:${file}`, "--yes");
    const task = await system.task(id, ({ state }) => state === "succeeded" || state === "failed");
    assert.equal(task["state"], "failed");
    assert.match(String(task["reason"]), /the result was not delivered: git push failed: .*; it is kept: guild task result tsk_/);
    const { stdout } = await system.guild(["task", "result", id, "--patch"]);
    assert.match(stdout, /^diff --git a\/steps\.txt b\/steps\.txt\nnew file mode 100644$/m);
  });

  it("work on files that the client sends, and give back what has changed", async () => {
    const here = workspace("sent");
    writeFileSync(join(here, "picture.bin"), Buffer.from([0, 1, 2, 255]));
    writeFileSync(join(here, "run.sh"), "#!/bin/sh\n", { mode: 0o755 });
    symlinkSync("picture.bin", join(here, "link"));
    const file = system.home.write(
      "sent.yaml",
      script(1, 0).replace(
        "echo 1",
        "test -x run.sh && test $(readlink link) = picture.bin && head -c 3 /dev/zero > picture.bin && echo 1",
      ),
    );
    const id = await submit("one step", "--upload", "--workspace", here, "--model", `scripted:${file}`, "--yes");
    await system.task(id, ({ state }) => state === "succeeded");
    assert.equal(existsSync(join(here, "steps.txt")), false, "the worker had a copy");
    const { code, stdout, stderr } = await system.guild(["task", "result", id, "--apply", "--workspace", here]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /modified picture\.bin\nadded {4}steps\.txt\n2 file\(s\), applied/);
    assert.equal(readFileSync(join(here, "steps.txt"), "utf8"), "1\n");
    assert.deepEqual(readFileSync(join(here, "picture.bin")), Buffer.alloc(3));
    const again = await system.guild(["task", "result", id, "--apply", "--workspace", here]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /^guild: the result does not apply: .* — nothing was changed; take the patch with guild task result/);
  });

  it("go on elsewhere with the session of a worker that is killed, with nothing lost", async () => {
    verifies("A3");
    const file = system.home.write("long.yaml", script(4, 1));
    const origin = workspace("long-origin");
    repository(origin);
    const id = await submit("four steps", "--git", `file://${origin}`, "--push", "result", "--model", `scripted:${file}`, "--yes");
    const running = await system.task(id, ({ session }) => session !== "");
    const session = String(running["session"]);
    while ((await system.events(session)).filter(({ kind }) => kind === "checkpointMade").length < 2) await pause(100);
    const before = await system.events(session);
    const victim = processOf(workers, String(running["worker"]));
    process.kill(victim, "SIGKILL");
    const task = await system.task(id, ({ state }) => state === "succeeded" || state === "failed");
    assert.equal(task["state"], "succeeded", String(task["reason"]));
    assert.notEqual(task["worker"], running["worker"]);
    const events = await system.events(session);
    assert.deepEqual(events.slice(0, before.length), before, "nothing acknowledged was lost");
    const steps = pushed(origin).trim().split("\n");
    // What was under way when the worker died is undone with the workspace, and told to the model, whose script does not repeat it.
    const whole = ["1", "2", "3", "4"];
    assert.deepEqual(
      steps,
      whole.filter((step) => steps.includes(step)),
      "in order, none twice",
    );
    const interrupted = events.filter((event) => JSON.stringify(event).includes("ACTION_STATUS_INTERRUPTED"));
    assert.ok(whole.length - steps.length <= Math.max(1, interrupted.length));
    assert.equal(existsSync(`/proc/${victim}`), false);
  });

  it("take away, where a worker goes on in the same directory, what the one that was killed had planted", async () => {
    verifies("F4", "A3");
    const third = { join: orchestrator.address, env: { GUILD_SERVICES_MODELS: models.address, GUILD_WORKERS_SLOTS: "2" } };
    workers.push(await system.start("worker-3", ["worker"], third));
    await system.workers(2);
    const here = workspace("planted");
    const commands = ["echo one > a.txt", "echo evil > .npmrc; touch acted; sleep 600", "ls -A > seen.txt"];
    const steps = commands.map((command) => ({ calls: [{ tool: "bash", args: { command } }] }));
    const finish = { calls: [{ tool: "finish", args: { done: true, summary: "done" } }] };
    const file = system.home.write("planted.json", JSON.stringify({ steps: [...steps, finish] }));
    const id = await submit("plant", "--workspace", here, "--sandbox", "bubblewrap", "--model", `scripted:${file}`, "--yes");
    const running = await system.task(id, ({ session }) => session !== "");
    while (!existsSync(join(here, "acted"))) await pause(100);
    process.kill(processOf(workers, String(running["worker"])), "SIGKILL");
    assert.ok(existsSync(join(here, ".npmrc")), "it was planted");
    const task = await system.task(id, ({ state }) => state === "succeeded" || state === "failed");
    assert.deepEqual([task["state"], task["worker"] === running["worker"]], ["succeeded", false], String(task["reason"]));
    assert.equal(readFileSync(join(here, "seen.txt"), "utf8").includes(".npmrc"), false);
    assert.equal(existsSync(join(here, ".npmrc")), false);
    assert.match(JSON.stringify(await system.events(String(running["session"]))), /\.npmrc was set aside/);
  });
});

/** Process of the worker with that id in the pool: its log says so. */
function processOf(workers: readonly Service[], id: string): number {
  const found = workers.find((worker) => worker.errors.includes(id));
  assert.ok(found !== undefined, `no process says that it is ${id}`);
  return pidOf(found);
}

/** The steps on the branch that a task has pushed. */
function pushed(origin: string): string {
  return execFileSync("git", ["show", "result:steps.txt"], { cwd: origin, encoding: "utf8" });
}
