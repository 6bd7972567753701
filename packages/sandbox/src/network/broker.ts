import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";

import type { FromBroker, ToBroker, WayOutRules } from "./broker-messages.ts";
import type { NetworkDecision } from "./proxy.ts";
import { AUTHORITY_FILE, BUNDLE_FILE, PROXY_SOCKET } from "./way-out.ts";

export interface BrokerOptions {
  /** Program and arguments that call `runBroker(process)`. */
  program: readonly [string, ...string[]];
  /** Whole environment of the broker: what it needs to trust further authorities. */
  env: Readonly<Record<string, string>>;
  /** 0700, the daemon's own; nobody else makes directories called `net-…` in it. */
  runtimeDir: string;
  /** Who the broker is, when we are root; default 60790. Neither the daemon's user nor the sandboxes'. */
  user?: { uid: number; gid: number };
  /** Its errors, and that it ended. */
  log(line: string): void;
}

/** The way out of one sandbox. */
export interface WayOut {
  /** For `SandboxSpec.wayOut`. */
  readonly directory: string;
  /** Resolves when the broker has died and this is shut for good. */
  readonly lost: Promise<void>;
  /** Other rules, grants and values from now on. */
  change(rules: WayOutRules): Promise<void>;
  /** Resolves when every decision that has been made has been reported. */
  settle(): Promise<void>;
  /** Cuts all connections and removes the directory. Idempotent. */
  close(): Promise<void>;
}

/** An id that no distribution hands out, next to that of sandboxes. */
const DEFAULT_USER = { uid: 60790, gid: 60790 };

/** Authorities of the system, by distribution: Debian, Fedora, SUSE, Alpine. */
const SYSTEM_BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/**
 * The broker as the daemon sees it: a process of its own, under a user of its own where we are root, started by the first sandbox that may
 * use the network and ended with the daemon. When it dies, every way out is shut; the next that is opened starts another.
 */
export class Broker {
  readonly #options: BrokerOptions;
  readonly #open = new Map<string, { report(decision: NetworkDecision): void; lose(): void }>();
  readonly #waiting = new Map<number, (answer: FromBroker | undefined) => void>();
  #child: Promise<ChildProcess> | undefined;
  #requests = 0;

  constructor(options: BrokerOptions) {
    this.#options = options;
  }

  /** Opens a way out. `report` hears every decision. */
  async open(rules: WayOutRules, report: (decision: NetworkDecision) => void): Promise<WayOut> {
    const child = await (this.#child ??= this.#start());
    const directory = await mkdtemp(join(this.#options.runtimeDir, "net-"));
    const lost = Promise.withResolvers<void>();
    try {
      this.#open.set(directory, { report, lose: lost.resolve });
      const server = await listen(directory);
      const { certificate = "" } = await this.#request(child, { op: "open", wayOut: directory, rules }, server);
      await writeAuthorities(directory, certificate);
    } catch (error) {
      this.#open.delete(directory);
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
    let closing: Promise<void> | undefined;
    return {
      directory,
      lost: lost.promise,
      change: async (changed) => void (await this.#request(child, { op: "change", wayOut: directory, rules: changed })),
      settle: async () => {
        // One that has ended has told all that it ever will.
        if (child.connected) await this.#request(child, { op: "settle" });
      },
      close: () =>
        (closing ??= (async () => {
          if (child.connected) await this.#request(child, { op: "close", wayOut: directory });
          this.#open.delete(directory);
          await rm(directory, { recursive: true, force: true });
        })()),
    };
  }

  /** Ends the process, if there is one. */
  async close(): Promise<void> {
    // One that could not start has told its caller, and needs no end.
    const child = await this.#child?.catch(() => undefined);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    if (child.connected) child.disconnect();
    await ended;
  }

  async #start(): Promise<ChildProcess> {
    const { program, env, runtimeDir, user = DEFAULT_USER, log } = this.#options;
    for (const name of await readdir(runtimeDir)) {
      // Left by a daemon that was killed.
      if (name.startsWith("net-")) await rm(join(runtimeDir, name), { recursive: true, force: true });
    }
    const [command, ...args] = program;
    const child = spawn(command, args, { env, cwd: "/", stdio: ["ignore", "ignore", "pipe", "ipc"], detached: true });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => log(`broker: ${text.trimEnd()}`));
    child.on("message", (message) => this.#receive(message as FromBroker));
    const ended = (how: string): void => {
      this.#child = undefined;
      for (const answer of this.#waiting.values()) answer(undefined);
      this.#waiting.clear();
      if (this.#open.size > 0) log(`the broker ended (${how}): sandboxes that run have no network any more`);
      for (const { lose } of this.#open.values()) lose();
      this.#open.clear();
    };
    child.on("error", (error) => ended(error.message));
    child.on("exit", (code, signal) => ended(signal ?? `exit code ${code}`));
    try {
      await this.#request(child, { op: "start", user: process.geteuid?.() === 0 ? user : undefined });
      return child;
    } catch (error) {
      child.kill("SIGKILL");
      this.#child = undefined;
      throw error;
    }
  }

  async #request(
    child: ChildProcess,
    request: ToBroker extends infer Each ? (Each extends ToBroker ? Omit<Each, "id"> : never) : never,
    handle?: Server,
  ): Promise<{ certificate?: string }> {
    const id = ++this.#requests;
    const answer = await new Promise<FromBroker | undefined>((resolve) => {
      this.#waiting.set(id, resolve);
      const message = { id, ...request };
      const sent = (error: Error | null): void => {
        // Ours listens no more: the socket is the broker's alone.
        handle?.close();
        if (error !== null) resolve(undefined);
      };
      if (!child.connected) resolve(undefined);
      else if (handle === undefined) child.send(message, sent);
      else child.send(message, handle, sent);
    });
    this.#waiting.delete(id);
    if (answer?.op === "done") return answer;
    const why = answer?.op === "failed" ? answer.message : "it has ended";
    throw new GuildError("unavailable", `the network broker cannot do its work: ${why}`, {
      remedy: "see the daemon's log, then try again",
    });
  }

  #receive(message: FromBroker): void {
    if (message.op === "decision") this.#open.get(message.wayOut)?.report(message.decision);
    else this.#waiting.get(message.id)?.(message);
  }
}

/**
 * A socket that everybody who reaches it may use: who does is decided by the 0700 directory above, and inside by what is mounted. It is moved
 * before it is handed over, because closing ours removes the name that it was given.
 */
async function listen(directory: string): Promise<Server> {
  await chmod(directory, 0o755);
  const name = join(directory, "l");
  const server = createServer().listen(name);
  await once(server, "listening");
  await rename(name, join(directory, PROXY_SOCKET));
  await chmod(join(directory, PROXY_SOCKET), 0o666);
  return server;
}

/** The session's authority alone, and together with the system's: some programs add to what they know, others replace it. */
async function writeAuthorities(directory: string, certificate: string): Promise<void> {
  await writeFile(join(directory, AUTHORITY_FILE), certificate, { mode: 0o644 });
  let system = "";
  for (const file of SYSTEM_BUNDLES) {
    system = await readFile(file, "utf8").catch(() => ""); // another distribution's place
    if (system !== "") break;
  }
  await writeFile(join(directory, BUNDLE_FILE), `${certificate}\n${system}`, { mode: 0o644 });
}
