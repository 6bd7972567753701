import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";

import { type Finished, Home, jsonLines, program, type StartOptions } from "../cli/guild.ts";

/** Services of Guildhall as processes of their own, each with a home, on loopback. */
export class ServiceSystem {
  readonly home = new Home();
  readonly #services = new Map<string, Service>();
  readonly token = "a-token-of-this-test";
  gateway = "";

  /** Starts a process and waits until it is ready. `name` is also its home's; started again under it, it finds its data. */
  async start(name: string, services: string[], options: Start = {}): Promise<Service> {
    for (;;) {
      try {
        return await this.#start(name, services, options);
      } catch (error) {
        // A free port may be another's by the time that it is listened to.
        if (options.port !== undefined || !String(error).includes("EADDRINUSE")) throw error;
      }
    }
  }

  async #start(name: string, services: string[], options: Start): Promise<Service> {
    const port = options.port ?? (await freePort());
    const directory = join(this.home.directory, name);
    mkdirSync(directory, { recursive: true });
    const args = [process.execPath, options.program ?? program, "serve", ...services, "--listen", `127.0.0.1:${port}`];
    if (options.join !== undefined) args.push("--join", options.join);
    const [command = "", ...rest] = [...(options.enter ?? []), ...args];
    const child = spawn(command, rest, {
      env: { ...this.home.env, GUILD_HOME: directory, GUILD_SERVICES_TOKEN: this.token, GUILD_SANDBOX_PROVIDER: "host", ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const service: Service = {
      name,
      address: `127.0.0.1:${port}`,
      port,
      child,
      errors: "",
      ended: new Promise((resolve) => child.once("exit", resolve)),
    };
    child.stderr.setEncoding("utf8").on("data", (text: string) => (service.errors += text));
    this.#services.set(name, service);
    await new Promise<void>((resolve, reject) => {
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (/^ready: /m.test(said)) resolve();
      });
      child.once("exit", () => reject(new Error(`${name} ended before it was ready: ${service.errors}`)));
    });
    return service;
  }

  /** A command that speaks to the gateway. */
  guild(args: string[], options: StartOptions = {}): Promise<Finished> {
    return this.home.guild(args, { ...options, env: { GUILD_GATEWAY: this.gateway, GUILD_TOKEN: this.token, ...options.env } });
  }

  /** The objects that a command with `--json` prints; it must succeed. */
  async json(...args: string[]): Promise<Array<Record<string, unknown>>> {
    const { code, stdout, stderr } = await this.guild([...args, "--json"]);
    assert.equal(code, 0, stderr);
    return jsonLines(stdout);
  }

  /** One call, straight to the gateway or to the service at `address`, as a program in any language would make it. */
  async call(method: string, request: unknown, address = this.gateway): Promise<Record<string, unknown>> {
    const response = await this.#post(method, "application/json", JSON.stringify(request), address);
    const answer = (await response.json()) as Record<string, unknown>;
    assert.ok(response.ok, `${method}: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** The messages of a call that streams back. */
  async *stream(method: string, request: unknown, options: { address?: string; signal?: AbortSignal } = {}): AsyncGenerator<Json> {
    const body = envelope(request);
    const response = await this.#post(method, "application/connect+json", body, options.address ?? this.gateway, options.signal);
    let rest = Buffer.alloc(0);
    for await (const chunk of response.body ?? []) {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
        const end = 5 + rest.readUInt32BE(1);
        const message = JSON.parse(rest.subarray(5, end).toString()) as Json;
        if ((rest[0] ?? 0) & 2) assert.equal(message["error"], undefined, JSON.stringify(message));
        else yield message;
        rest = rest.subarray(end);
      }
    }
  }

  #post(method: string, type: string, body: string | Uint8Array<ArrayBuffer>, address: string, signal?: AbortSignal): Promise<Response> {
    const headers = { "content-type": type, "connect-protocol-version": "1", authorization: `Bearer ${this.token}` };
    return fetch(`http://${address}/guildhall.v1.${method}`, {
      method: "POST",
      headers,
      body,
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Waits until that many workers are in the pool; returns their ids. */
  async workers(count: number, address = this.gateway): Promise<string[]> {
    for (;;) {
      const { workers = [] } = (await this.call("PoolService/ListWorkers", {}, address)) as { workers?: Array<{ id: string }> };
      if (workers.length === count) return workers.map(({ id }) => id);
      await pause(100);
    }
  }

  /** The task once `holds` is true of it. Calls that fail are made again: what they were to ask may be starting anew. */
  async task(id: string, holds: (task: TaskLine) => boolean): Promise<TaskLine> {
    for (;;) {
      const answer = await this.call("TaskService/GetTask", { taskId: id }).catch(() => undefined);
      if (answer !== undefined) {
        const {
          state = "",
          reason = "",
          sessionId = "",
          workerId = "",
          attempt = 0,
          started,
          ended,
        } = answer["task"] as Record<string, string | number>;
        const task = {
          id,
          state: String(state).replace("TASK_STATE_", "").toLowerCase(),
          reason,
          session: sessionId,
          worker: workerId,
          attempt,
          started,
          ended,
        };
        if (holds(task)) return task;
      }
      await pause(100);
    }
  }

  /** The task once it has ended. */
  ended(id: string): Promise<TaskLine> {
    return this.task(id, ({ state }) => ["succeeded", "failed", "skipped", "cancelled"].includes(state));
  }

  /** All events of a session, checked: gapless from 1, and no epoch after a later one. `kind`: the case of its body. */
  async events(session: string, address = this.gateway): Promise<EventLine[]> {
    const events: EventLine[] = [];
    for await (const { events: batch = [] } of this.stream(
      "SessionService/WatchSession",
      { sessionId: session, fromSeq: 1 },
      { address },
    )) {
      for (const event of batch as Array<Record<string, unknown>>) {
        const kind = Object.keys(event).find((key) => !["seq", "time", "epoch", "actor"].includes(key)) ?? "";
        events.push({ ...event, seq: Number(event["seq"]), epoch: Number(event["epoch"] ?? 0), kind });
      }
    }
    assert.deepEqual(
      events.map(({ seq }) => seq),
      events.map((_, index) => index + 1),
      "gapless",
    );
    const epochs = events.map(({ epoch }) => epoch).filter((epoch) => epoch > 0);
    assert.deepEqual(
      epochs,
      epochs.toSorted((a, b) => a - b),
      "one writer an epoch",
    );
    return events;
  }

  /** Ends every process that still runs, and removes everything. */
  async close(): Promise<void> {
    for (const { child } of this.#services.values()) if (child.exitCode === null) child.kill("SIGCONT");
    for (const { child, ended } of [...this.#services.values()].toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGTERM");
      const hurry = setTimeout(() => child.kill("SIGTERM"), 3_000);
      await ended;
      clearTimeout(hurry);
    }
    // Databases whose orchestrator was killed live on for the next one.
    for (const name of this.#services.keys()) stopDatabase(join(this.home.directory, name));
    await this.home.remove();
  }
}

interface Start {
  join?: string;
  port?: number;
  env?: Record<string, string>;
  enter?: readonly string[];
  program?: string | undefined;
}

type Json = Record<string, unknown>;

export interface EventLine extends Json {
  seq: number;
  epoch: number;
  kind: string;
}

export interface TaskLine extends Json {
  id: string;
  state: string;
}

function envelope(message: unknown): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Uint8Array.from(Buffer.concat([head, bytes]));
}

export interface Service {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** The client's process; the service's own is `pidOf`. */
  readonly child: ChildProcess;
  errors: string;
  readonly ended: Promise<unknown>;
}

/** Process that serves: the only child of the client that started it. */
export function pidOf({ child }: Service): number {
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ");
  const pid = Number(children[0]);
  // A signal to 0 would go to everything that the tests are run by.
  assert.ok(pid > 0, `the client ${child.pid} has no child`);
  return pid;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function stopDatabase(home: string): void {
  try {
    const pid = Number(readFileSync(join(home, "data/postgres/postmaster.pid"), "utf8").split("\n")[0]);
    process.kill(pid, "SIGQUIT");
  } catch {
    // It has none, or it has ended.
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
