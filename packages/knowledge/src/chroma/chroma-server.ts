import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { GuildError } from "@guildhall/core";

import { type ChromaClient, chromaClient } from "./chroma-client.ts";

export interface ChromaServerOptions {
  /** Its data; nothing else may have it open. */
  directory: string;
  /** For its socket: short, and nobody else's. */
  runtimeDir: string;
  /** It ends when nobody has asked it anything for so long, milliseconds; the next question starts it. Default 5 minutes. */
  idleMs?: number;
  warn(line: string): void;
}

/** A Chroma server of our own. */
export interface ChromaServer {
  client(): ChromaClient;
  readonly pid: number | undefined;
  close(): Promise<void>;
}

const START_MS = 20_000;
/** Versions that run with the C library of Debian 12; by platform. */
const BINDING = `chromadb-js-bindings-${process.platform}-${process.arch}${process.platform === "linux" ? "-gnu" : ""}`;

/** Path of the binding that npm brought; undefined where it brought none. */
export function findChroma(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve(BINDING);
  } catch {
    // Not installed, or not made for this platform: the caller says so.
    return undefined;
  }
}

/**
 * Runs Chroma as a child in a network namespace of its own, so that its port, which asks for no token, is out of everybody's reach but through a socket of ours. Started when it is asked,
 * started again when it died, killed when it is idle (its data are written). A directory that it cannot open is set aside, for it can be filled again.
 */
export function chromaServer(options: ChromaServerOptions): ChromaServer {
  const { directory, runtimeDir, idleMs = 300_000, warn } = options;
  const socket = join(runtimeDir, "chroma.sock");
  const inner = chromaClient({ socket });
  let child: ChildProcess | undefined;
  let starting: Promise<void> | undefined;
  let idle: NodeJS.Timeout | undefined;
  let closed = false;

  async function launch(): Promise<void> {
    const binding = findChroma();
    if (binding === undefined)
      throw new GuildError("unsupported", "Chroma is not installed here", { remedy: "run npm install with optional packages" });
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await rm(socket, { force: true });
    const program = fileURLToPath(new URL("./chroma-child.ts", import.meta.url));
    // Not to die with us: bubblewrap's own child waits for its parent, and would do so for ever. It ends itself when its input is closed.
    const box = ["--unshare-net", "--unshare-ipc", "--dev-bind", "/", "/"];
    const started = spawn("bwrap", [...box, process.execPath, program, binding, directory, socket], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    started.unref();
    (started.stdin as unknown as { unref(): void }).unref(); // a pipe of a child is a socket
    started.stdin.on("error", () => undefined); // told by its end
    child = started;
    const gone = once(started, "exit").then(
      () => "it ended",
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    const end = performance.now() + START_MS;
    for (;;) {
      const died = await Promise.race([gone, sleep(50, undefined)]);
      if (died !== undefined) {
        child = undefined;
        throw new GuildError("unavailable", `Chroma does not start: ${died}`, {
          subject: directory,
          remedy: "guild doctor tells what is missing",
        });
      }
      try {
        await inner.version();
        break;
      } catch (error) {
        if (performance.now() > end) throw error;
      }
    }
    gone.then(
      () => {
        if (child === started) child = undefined;
      },
      () => undefined, // It never rejects: see above.
    );
  }

  async function start(): Promise<void> {
    if (closed) throw new GuildError("unavailable", "Chroma was closed");
    try {
      await launch();
    } catch (error) {
      if (!GuildError.is(error, "unavailable")) throw error;
      await stop();
      const aside = `${directory}.damaged-${Date.now().toString(36)}`;
      warn(`Chroma does not start with ${directory}; it is set aside as ${aside} and filled again`);
      await rename(directory, aside);
      await launch();
    }
  }

  async function stop(): Promise<void> {
    const ending = child;
    child = undefined;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    const gone = once(ending, "exit");
    killWhole(ending);
    await gone;
  }

  async function ready(): Promise<void> {
    clearTimeout(idle);
    idle = setTimeout(() => {
      stop().catch((error: unknown) => warn(`Chroma does not end: ${GuildError.from(error).line}`));
    }, idleMs);
    idle.unref();
    if (child !== undefined && starting === undefined) return;
    starting ??= start().finally(() => (starting = undefined));
    await starting;
  }

  /** Once more when it died while it was asked, or its directory was taken away below it: a new process finds its feet. */
  async function asked<T>(work: () => Promise<T>): Promise<T> {
    await ready();
    try {
      return await work();
    } catch (error) {
      if (!GuildError.is(error, "unavailable") || closed) throw error;
      await stop();
      await ready();
      return await work();
    }
  }

  return {
    client: () => ({
      version: () => asked(() => inner.version()),
      collection: (...args) => asked(() => inner.collection(...args)),
      count: (...args) => asked(() => inner.count(...args)),
      vectors: (...args) => asked(() => inner.vectors(...args)),
      marks: (...args) => asked(() => inner.marks(...args)),
      upsert: (...args) => asked(() => inner.upsert(...args)),
      remove: (...args) => asked(() => inner.remove(...args)),
      query: (...args) => asked(() => inner.query(...args)),
      drop: (...args) => asked(() => inner.drop(...args)),
    }),
    get pid() {
      return child?.pid;
    },
    async close() {
      closed = true;
      clearTimeout(idle);
      await starting?.catch(() => undefined); // Whoever asked was told.
      await stop();
      await rm(socket, { force: true });
    },
  };
}

/** Bubblewrap, and what it has started. */
function killWhole({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
