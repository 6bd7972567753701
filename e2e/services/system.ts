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
  async start(
    name: string,
    services: string[],
    options: { join?: string; port?: number; env?: Record<string, string>; enter?: string[] } = {},
  ): Promise<Service> {
    const port = options.port ?? (await freePort());
    const directory = join(this.home.directory, name);
    mkdirSync(directory, { recursive: true });
    const args = [process.execPath, program, "serve", ...services, "--listen", `127.0.0.1:${port}`];
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

  /** Waits until that many workers are in the pool; returns their ids. */
  async workers(count: number): Promise<string[]> {
    for (;;) {
      const workers = (await this.json("pool", "list")).filter(({ type }) => type === "worker");
      if (workers.length === count) return workers.map(({ id }) => String(id));
      await pause(200);
    }
  }

  /** The task once `holds` is true of it. */
  async task(id: string, holds: (task: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    for (;;) {
      const [task] = await this.json("task", "show", id);
      if (task !== undefined && holds(task)) return task;
      await pause(200);
    }
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
  return Number(children[0]);
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
