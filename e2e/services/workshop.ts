import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { repository } from "../cli/guild.ts";
import { Cable } from "./cable.ts";
import { type EventLine, pause, pidOf, type Service, ServiceSystem, type TaskLine } from "./system.ts";
import { Wire } from "./wire.ts";

/** A worker and its line to the others: out of its own network, then through a relay. */
export interface Outpost {
  service: Service;
  readonly cable: Cable;
  readonly wire: Wire;
  /** Where it finds the orchestrator and the models, seen from there. */
  readonly join: string;
  readonly models: string;
}

/** A whole system with two workers, each behind a line of its own, and tasks that show whether anything was lost. */
export class Workshop {
  readonly system = new ServiceSystem();
  readonly workers: Outpost[] = [];
  /** All that was laid, also to a worker that did not start. */
  readonly #lines: Array<Cable | Wire> = [];
  models!: Service;
  orchestrator!: Service;
  /** Of another release: what is started from now on runs it. */
  program: string | undefined;
  #tasks = 0;
  /** What the logs of jobs that were checked say: replies of models, and how often a writer was replaced. */
  readonly #logged = { jobs: 0, replies: 0, epochs: 0 };

  /** `through`: the port where workers find the orchestrator, when somebody stands between. */
  async start(env: { orchestrator?: Record<string, string>; through?(orchestrator: Service): Promise<number> } = {}): Promise<void> {
    const { system } = this;
    this.models = await this.startModels();
    await this.startOrchestrator(undefined, env.orchestrator);
    const port = (await env.through?.(this.orchestrator)) ?? this.orchestrator.port;
    const post = async (name: string): Promise<Outpost> => {
      const [cable, wire] = [await Cable.to(port), await Wire.lay()];
      this.#lines.push(wire, cable);
      const line = { cable, wire, join: await wire.to(cable.address), models: await wire.to(this.models.address) };
      return { ...line, service: await this.startWorker(name, line) };
    };
    this.workers.push(...(await Promise.all(["worker-1", "worker-2"].map(post))));
    await system.workers(2);
    await system.call("BudgetService/SetBudget", { path: "org", limits: { steps: 10_000 } });
    await system.call("BudgetService/SetBudget", { path: "org/faults", limits: { steps: 1_000 } });
  }

  startModels(port?: number): Promise<Service> {
    return this.system.start("models", ["models"], { program: this.program, ...(port === undefined ? {} : { port }) });
  }

  /** Starts the orchestrator, with its gateway, or another one in its place. */
  async startOrchestrator(port?: number, env: Record<string, string> = {}): Promise<void> {
    this.orchestrator = await this.system.start("orchestrator", ["orchestrator", "gateway"], {
      ...(port === undefined ? {} : { port }),
      program: this.program,
      env: { GUILD_SERVICES_MODELS: this.models.address, ...this.#clockOf("orchestrator"), ...env },
    });
    this.system.gateway = this.orchestrator.address;
  }

  startWorker(name: string, { wire, join: orchestrator, models }: Omit<Outpost, "service">): Promise<Service> {
    // In the namespace of an ordinary user it takes itself for root, whose directory for sockets there may be, outside.
    const runtime = join(this.system.home.directory, "run");
    mkdirSync(runtime, { recursive: true, mode: 0o700 });
    return this.system.start(name, ["worker"], {
      join: orchestrator,
      enter: wire.enter,
      program: this.program,
      env: { XDG_RUNTIME_DIR: runtime, GUILD_SERVICES_MODELS: models, GUILD_WORKERS_SLOTS: "2", ...this.#clockOf(name) },
    });
  }

  /** A task of `steps` steps of a second on a clone; its first leaves a process running behind it. */
  async submit(steps: number, more: Record<string, unknown> = {}): Promise<Job> {
    const { system } = this;
    const name = `job-${++this.#tasks}`;
    const origin = join(system.home.directory, name);
    mkdirSync(origin);
    repository(origin);
    // Found again by its odd length.
    const mark = `${7_000_000 + process.pid}.${this.#tasks}`;
    const step = (n: number) => {
      const behind = n === 1 ? `sleep ${mark} >&- 2>&- & ` : "";
      return `  - say: step ${n}\n    calls:\n      - tool: bash\n        args: { command: "${behind}echo ${n} >> steps.txt; sleep 1" }\n`;
    };
    const all = Array.from({ length: steps }, (_, index) => step(index + 1)).join("");
    const finish = "  - say: done\n    calls:\n      - tool: finish\n        args: { done: true, summary: all is done }\n";
    const script = system.home.write(`${name}.yaml`, `steps:\n${all}${finish}`);
    const spec = {
      goal: name,
      workspace: { gitUrl: `file://${origin}` },
      resultBranch: "result",
      model: `scripted:${script}`,
      approvalPolicy: "never",
      priority: 50,
      project: "org/faults",
      ...more,
    };
    const { tasks = [] } = (await system.call("TaskService/SubmitTasks", { tasks: [spec] })) as { tasks?: Array<{ id: string }> };
    return { id: tasks[0]?.id ?? "", origin, mark, steps };
  }

  /** Waits until the job has made that many checkpoints; what it has said so far, and who works on it. */
  async under(job: Job, checkpoints: number): Promise<{ session: string; before: EventLine[]; worker: Outpost }> {
    for (;;) {
      const task = await this.system.task(job.id, ({ session, worker }) => session !== "" && worker !== "");
      const session = String(task["session"]);
      const before = await this.system.events(session);
      const made = before.filter(({ kind }) => kind === "checkpointMade").length;
      const worker = this.workers.find(({ service }) => service.errors.includes(`${String(task["worker"])} has joined`));
      if (made >= checkpoints && worker !== undefined) return { session, before, worker };
      await pause(100);
    }
  }

  /** Waits until the session has so many events of a kind. */
  async until(session: string, kind: string, count = 1): Promise<void> {
    while ((await this.system.events(session)).filter((event) => event.kind === kind).length < count) await pause(100);
  }

  /** Sets a service's clock, milliseconds from the true time. */
  setClock(name: string, ms: number): void {
    this.system.home.write(`${name}.clock`, String(ms));
  }

  #clockOf(name: string): Record<string, string> {
    const hook = pathToFileURL(join(import.meta.dirname, "moved-clock.mjs")).href;
    return { NODE_OPTIONS: `--import ${hook}`, GUILD_TEST_CLOCK: join(this.system.home.directory, `${name}.clock`) };
  }

  /** Milliseconds until somebody writes to the session under a higher epoch. */
  async takeover(session: string, before: EventLine[]): Promise<number> {
    const since = performance.now();
    const epoch = Math.max(...before.map((event) => event.epoch));
    for (;;) {
      const events = await this.system.events(session).catch(() => []);
      if (events.some((event) => event.epoch > epoch)) return Math.round(performance.now() - since);
      await pause(100);
    }
  }

  /** What must hold of a job however it went: its end, its log, its result, its processes, its budget. */
  async check(job: Job, session: string, before: EventLine[]): Promise<TaskLine> {
    const task = await this.system.ended(job.id);
    assert.equal(task.state, "succeeded", String(task["reason"]));
    const events = await this.system.events(session);
    assert.ok(events.length >= before.length, "nothing acknowledged was lost");
    // A later release may know more of what was read before.
    assert.partialDeepStrictEqual(events.slice(0, before.length), before, "nothing acknowledged was lost");
    const steps = execFileSync("git", ["show", "result:steps.txt"], { cwd: job.origin, encoding: "utf8" }).trim().split("\n");
    const whole = Array.from({ length: job.steps }, (_, index) => String(index + 1));
    assert.deepEqual(
      steps,
      whole.filter((step) => steps.includes(step)),
      "in order, none twice",
    );
    // A step that was under way is undone with the workspace and told to the model, whose script does not repeat it.
    const interrupted = events.filter((event) => JSON.stringify(event).includes("ACTION_STATUS_INTERRUPTED")).length;
    assert.ok(whole.length - steps.length <= interrupted, `${steps.join(" ")} of ${job.steps}, ${interrupted} interrupted`);
    while (marked(job.mark).length > 0) await pause(200);
    this.#logged.jobs++;
    this.#logged.replies += events.filter(({ kind }) => kind === "modelReplied").length;
    this.#logged.epochs += new Set(events.map(({ epoch }) => epoch).filter((epoch) => epoch > 0)).size;
    await this.#checkBudgets();
    return task;
  }

  /** Once all have ended nothing is held, and every reply that a log holds is paid for once: a writer that was replaced may have lost one. */
  async #checkBudgets(): Promise<void> {
    if (this.#logged.jobs < this.#tasks) return;
    const { budgets = [] } = (await this.system.call("BudgetService/ListBudgets", {})) as { budgets?: BudgetLine[] };
    const faults = budgets.filter(({ path }) => path === "org" || path === "org/faults");
    assert.equal(faults.length, 2);
    const { replies, epochs } = this.#logged;
    for (const { path, spent, reserved } of faults) {
      const steps = Number(spent?.steps ?? 0);
      assert.equal(Number(reserved?.steps ?? 0), 0, `${path} holds nothing for calls that nobody makes`);
      assert.ok(replies <= steps && steps <= replies + epochs, `${path}: ${steps} steps for ${replies} replies, ${epochs} writers`);
    }
  }

  async close(): Promise<void> {
    for (const { service } of this.workers) {
      try {
        process.kill(pidOf(service), "SIGCONT");
      } catch {
        // It is gone.
      }
    }
    await this.system.close();
    for (const line of this.#lines) await line.close();
  }
}

interface BudgetLine {
  path: string;
  spent?: { steps?: string };
  reserved?: { steps?: string };
}

export interface Job {
  id: string;
  origin: string;
  mark: string;
  steps: number;
}

/** Processes that a job's first step has left behind. */
export function marked(mark: string): number[] {
  return readdirSync("/proc").flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const [name = "", argument = ""] = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      return name.endsWith("sleep") && argument === mark ? [Number(entry)] : [];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}
