import { type ChildProcess, execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { resolvePaths } from "@guildhall/core/paths";
import { SessionService, SystemService } from "@guildhall/protocol";

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
  /** Daemon, database and all that they started, now. */
  processes(): { daemon: number[]; database: number[] };
  close(): Promise<void>;
}

export interface Api {
  sessions: Client<typeof SessionService>;
  system: Client<typeof SystemService>;
  close(): void;
}

const program = resolve(import.meta.dirname, "../dist/guild.js");

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
      const transport = createConnectTransport({
        httpVersion: "2",
        baseUrl: "http://guildhall.local",
        sessionManager,
        useBinaryFormat: true,
      });
      return {
        sessions: createClient(SessionService, transport),
        system: createClient(SystemService, transport),
        close: () => sessionManager.abort(),
      };
    },
    processes() {
      const database = descendants(databases(env.GUILD_HOME));
      const own = readdirSync("/proc")
        .map(Number)
        .filter((pid) => pid > 0 && environment(pid).includes(`GUILD_HOME=${env.GUILD_HOME}\0`));
      const among = new Set(database);
      return { daemon: descendants(own).filter((pid) => !among.has(pid)), database };
    },
    async close() {
      const child = spawn(process.execPath, [program, "down"], { env, stdio: "ignore" });
      await once(child, "close");
      model.disconnect();
      rmSync(folder, { recursive: true, force: true });
    },
  };
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
