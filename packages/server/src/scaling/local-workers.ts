import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import type { Log } from "../daemon/log.ts";
import type { Dispatcher } from "../pool/dispatcher.ts";
import { desiredWorkers, type PoolSize } from "./desired-workers.ts";

export interface LocalWorkersOptions {
  /** The program that serves, as it was started here. */
  program: readonly [string, ...string[]];
  env: Readonly<Record<string, string | undefined>>;
  /** Each worker has a home of its own below it. */
  directory: string;
  /** Where the orchestrator listens. */
  address: string;
  token: string;
  /** Of each worker. */
  slots: number;
  size: PoolSize;
  dispatcher: Dispatcher;
  journal: Log;
  /** How long more than enough workers are kept, milliseconds. Default 30,000. */
  keepMs?: number;
}

/** Label by which a worker of ours is known in the pool. */
const LABEL = "guildhall.local";

interface LocalWorker {
  name: string;
  child: ChildProcess;
  ended: Promise<void>;
  leaving: boolean;
}

/**
 * Worker processes on this machine, as many as the queue wants: started when tasks wait, drained and then stopped when they have been too many
 * for a while. Never stops one that works on something. A worker that ends by itself is replaced.
 */
export class LocalWorkers {
  readonly #options: LocalWorkersOptions;
  readonly #workers = new Set<LocalWorker>();
  readonly #free: string[] = [];
  #made = 0;
  #timer: NodeJS.Timeout | undefined;
  #tooManySince: number | undefined;
  #restUntil = 0;
  #stopped = false;

  constructor(options: LocalWorkersOptions) {
    this.#options = options;
  }

  get count(): number {
    return [...this.#workers].filter(({ leaving }) => !leaving).length;
  }

  start(): void {
    this.#look();
    this.#timer = setInterval(() => this.#look(), 1_000).unref();
  }

  /** Ends all of them, at their next step boundary or `now`. */
  async stop({ now }: { now: boolean }): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    for (const worker of this.#workers) {
      worker.child.kill("SIGTERM");
      if (now) worker.child.kill("SIGTERM");
    }
    await Promise.all([...this.#workers].map(({ ended }) => ended));
  }

  /** In memory only: counts of the pool against processes. */
  #look(): void {
    const { dispatcher, slots, size, keepMs = 30_000 } = this.#options;
    const wanted = desiredWorkers(dispatcher.counts, slots, size);
    const now = performance.now();
    if (this.count <= wanted) this.#tooManySince = undefined;
    if (this.count < wanted && now >= this.#restUntil) for (let missing = wanted - this.count; missing > 0; missing--) this.#add();
    if (this.count > wanted) {
      this.#tooManySince ??= now;
      if (now - this.#tooManySince >= keepMs) this.#letGo(this.count - wanted);
    }
    for (const worker of this.#workers) if (worker.leaving && this.#tasksOf(worker) === 0) worker.child.kill("SIGTERM");
  }

  #add(): void {
    const { program, env, directory, address, token, slots, journal } = this.#options;
    const name = this.#free.pop() ?? `local-${++this.#made}`;
    const home = join(directory, name);
    mkdirSync(home, { recursive: true, mode: 0o700 });
    const [command, ...args] = program;
    const labels = [env["GUILD_WORKERS_LABELS"], `${LABEL}=${name}`].filter(Boolean).join(",");
    const child = spawn(command, [...args, "--serve", "worker", "--listen", "127.0.0.1:0", "--join", address], {
      env: {
        ...env,
        GUILD_HOME: home,
        // Nothing of the orchestrator's own: a worker holds no database.
        DATABASE_URL: undefined,
        GUILD_SERVICES_TOKEN: token,
        GUILD_WORKERS_LABELS: labels,
        GUILD_WORKERS_SLOTS: String(slots),
        GUILD_WORKERS_MAX: "0",
      },
      stdio: ["ignore", "ignore", "inherit"],
    });
    const ended = Promise.withResolvers<void>();
    const worker: LocalWorker = { name, child, leaving: false, ended: ended.promise };
    const gone = (): void => {
      ended.resolve();
      if (!this.#workers.delete(worker)) return;
      this.#free.push(name);
      if (worker.leaving || this.#stopped) return;
      // One that ends by itself is replaced, though not in a circle.
      this.#restUntil = performance.now() + RETRY_MS;
      journal.warn(`${name} has ended by itself`);
    };
    child.on("close", gone);
    child.on("error", (error) => {
      journal.error(`${name} cannot be started`, error);
      gone();
    });
    this.#workers.add(worker);
    journal.info(`${name} is started: ${this.count} local workers`);
  }

  /** The idle ones among them, newest first: told to take nothing more, stopped when nothing is left with them. */
  #letGo(count: number): void {
    const { dispatcher, journal } = this.#options;
    const idle = [...this.#workers].filter((worker) => !worker.leaving && this.#tasksOf(worker) === 0).toReversed();
    for (const worker of idle.slice(0, count)) {
      worker.leaving = true;
      const member = this.#memberOf(worker);
      if (member !== undefined) dispatcher.drain(member).catch((error: unknown) => journal.error(`${worker.name} is not drained`, error));
      journal.info(`${worker.name} is drained: ${this.count} local workers`);
    }
  }

  #memberOf({ name }: LocalWorker): string | undefined {
    for (const [id, { hello }] of this.#options.dispatcher.members) if (hello.labels[LABEL] === name) return id;
    return undefined;
  }

  #tasksOf(worker: LocalWorker): number {
    const member = this.#memberOf(worker);
    return member === undefined ? 0 : this.#options.dispatcher.tasksOf(member).length;
  }
}

const RETRY_MS = 5_000;
