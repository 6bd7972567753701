import { type ChildProcess, execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { resolvePaths } from "@guildhall/core/paths";
import { PoolService, SessionService, SystemService, TaskService } from "@guildhall/protocol";

import type { Exchange } from "./model-server.ts";
import { descendants } from "./process-tree.ts";

/** A Guildhall of the benchmark's own: bundled program, fresh folders, fake model server. */
export interface System {
  modelUrl: string;
  /** A new git repository with a few files. */
  workspace(): string;
  /** Starts `guild …` and waits for its end; the first moment is just before the process starts. */
  guild(...args: string[]): Promise<{ startedNs: number; code: number; output: string }>;
  /** Requests that the model server got since the last call. */
  exchanges(): Promise<Exchange[]>;
  connect(): Promise<Api>;
  /** Starts `guild serve …` with a home of its own on a free port of loopback, and waits until it is ready. */
  serve(name: string, services: string[], options?: { join?: string; env?: Record<string, string> }): Promise<ServedProcess>;
  /** A connection of its own to a service. */
  reach(service: ServedProcess): Api;
  /** Daemon, database and all that they started, now. */
  processes(): { daemon: number[]; database: number[] };
  close(): Promise<void>;
}

export interface ServedProcess {
  readonly address: string;
  /** The program that serves; its client, which started it, is its parent. */
  readonly pid: number;
  /** What it wrote to its log. */
  said(): string;
  stop(): Promise<void>;
}

export interface Api {
  transport: Transport;
  sessions: Client<typeof SessionService>;
  pool: Client<typeof PoolService>;
  tasks: Client<typeof TaskService>;
  system: Client<typeof SystemService>;
  close(): void;
}

const program = resolve(import.meta.dirname, "../dist/guild.js");

/** A session of the scripted model, in a workspace; `key` tells the model whose it is. */
export function sessionRequest({ modelUrl }: Pick<System, "modelUrl">, workspace: string, key: string) {
  return {
    workspace,
    goal: "run the steps",
    model: "openai-compatible/fake",
    baseUrl: modelUrl,
    approvalPolicy: "never",
    unattended: true,
    credentials: { OPENAI_COMPATIBLE_API_KEY: key },
  };
}

export async function startSystem(steps: number): Promise<System> {
  const folder = mkdtempSync(join(tmpdir(), "gb-"));
  const env = {
    PATH: process.env["PATH"],
    HOME: process.env["HOME"],
    GUILD_HOME: join(folder, "home"),
    XDG_RUNTIME_DIR: folder,
    OPENAI_COMPATIBLE_API_KEY: "cli",
  };
  const paths = resolvePaths({ env, home: folder, uid: process.getuid?.() ?? 0, tmp: folder });
  const model: ChildProcess = fork(join(import.meta.dirname, "model-server.ts"), [String(steps)]);
  const [{ baseUrl }] = (await once(model, "message")) as [{ baseUrl: string }];
  let workspaces = 0;
  const running = new Set<ServedProcess>();

  return {
    modelUrl: baseUrl,
    workspace() {
      const path = join(folder, `work-${(workspaces += 1)}`);
      mkdirSync(join(path, "src"), { recursive: true });
      for (let index = 0; index < 20; index += 1) writeFileSync(join(path, "src", `file-${index}.txt`), `content ${index}\n`.repeat(50));
      execFileSync("git", ["init", "-q", path]);
      return path;
    },
    async guild(...args) {
      const startedNs = Number(process.hrtime.bigint());
      const child = spawn(process.execPath, [program, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
      let output = "";
      child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
      child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
      const [code] = (await once(child, "close")) as [number];
      return { startedNs, code, output };
    },
    async exchanges() {
      model.send({ take: true });
      const [{ exchanges }] = (await once(model, "message")) as [{ exchanges: Exchange[] }];
      return exchanges;
    },
    async connect() {
      const socket = net.connect(paths.socket);
      await once(socket, "connect");
      const sessionManager = new Http2SessionManager("http://guildhall.local", {}, { createConnection: () => socket });
      return apiOver(sessionManager, "http://guildhall.local");
    },
    async serve(name, services, { join: orchestrator, env: more } = {}) {
      const address = `127.0.0.1:${await freePort()}`;
      const args = [program, "serve", ...services, "--listen", address, ...(orchestrator === undefined ? [] : ["--join", orchestrator])];
      const own = { ...env, GUILD_HOME: join(env.GUILD_HOME, name), GUILD_SERVICES_TOKEN: TOKEN, ...more };
      mkdirSync(own.GUILD_HOME, { recursive: true });
      const child = spawn(process.execPath, args, { env: own, stdio: ["ignore", "pipe", "pipe"] });
      const ended = once(child, "exit");
      let said = "";
      child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
      const ready = await Promise.race([once(child.stdout, "data"), ended.then(() => undefined)]);
      if (ready === undefined) throw new Error(`${name} ended before it was ready:\n${said}`);
      child.stdout.resume();
      const served: ServedProcess = {
        address,
        pid: descendants([child.pid ?? 0])[1] ?? 0,
        said: () => said,
        async stop() {
          if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
          await ended;
          running.delete(served);
        },
      };
      running.add(served);
      return served;
    },
    reach({ address }) {
      const bearer: Interceptor = (next) => (request) => {
        request.header.set("authorization", `Bearer ${TOKEN}`);
        return next(request);
      };
      return apiOver(new Http2SessionManager(`http://${address}`), `http://${address}`, [bearer]);
    },
    processes() {
      const database = descendants(databases(env.GUILD_HOME));
      const own = readdirSync("/proc")
        .map(Number)
        .filter((pid) => pid > 0 && environment(pid).includes(`GUILD_HOME=${env.GUILD_HOME}`));
      const among = new Set(database);
      return { daemon: descendants(own).filter((pid) => !among.has(pid)), database };
    },
    async close() {
      for (const service of [...running].toReversed()) await service.stop();
      const child = spawn(process.execPath, [program, "down"], { env, stdio: "ignore" });
      await once(child, "close");
      model.disconnect();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const TOKEN = "a-token-of-this-benchmark";

function apiOver(sessionManager: Http2SessionManager, baseUrl: string, interceptors: Interceptor[] = []): Api {
  const transport = createConnectTransport({ httpVersion: "2", baseUrl, sessionManager, useBinaryFormat: true, interceptors });
  return {
    transport,
    sessions: createClient(SessionService, transport),
    pool: createClient(PoolService, transport),
    tasks: createClient(TaskService, transport),
    system: createClient(SystemService, transport),
    close: () => sessionManager.abort(),
  };
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  return port;
}

/** The postmaster whose data is in `home`: it carries its path as cluster name. */
function databases(home: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && read(`/proc/${pid}/cmdline`).includes("postgres") && read(`/proc/${pid}/cmdline`).includes(home));
}

function environment(pid: number): string {
  return read(`/proc/${pid}/environ`);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
