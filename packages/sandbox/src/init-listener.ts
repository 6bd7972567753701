import { mkdir, mkdtemp, open, rm, type FileHandle } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";

/** Name of the socket in the directory. */
const SOCKET = "init";

/** A socket at which one init reports, for those who cannot be handed a descriptor: containers. */
export class InitListener {
  /** Where the socket is; to be mounted for the init alone, which finds it as `init` in there. */
  readonly directory: string;
  readonly #server: Server;
  readonly #handle: FileHandle;
  readonly #connected = Promise.withResolvers<Socket>();

  private constructor(directory: string, server: Server, handle: FileHandle) {
    this.directory = directory;
    this.#server = server;
    this.#handle = handle;
    this.#connected.promise.catch(() => {}); // who waits is told; nobody may
    server.once("connection", (socket) => {
      // The first one is the init, which runs before anything else: nobody gets in after it.
      server.close();
      this.#connected.resolve(socket);
    });
  }

  static async open(parent: string): Promise<InitListener> {
    await mkdir(parent, { recursive: true, mode: 0o700 });
    const directory = await mkdtemp(join(parent, "init-"));
    const handle = await open(directory, "r");
    try {
      await handle.chmod(0o755);
      const server = createServer({ pauseOnConnect: true });
      server.on("error", () => undefined); // `listen` below rejects with it
      // Addresses of sockets hold 107 bytes; this one is short wherever the directory is.
      const path = `/proc/self/fd/${handle.fd}/${SOCKET}`;
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen({ path, writableAll: true, readableAll: true }, resolve);
      });
      return new InitListener(directory, server, handle);
    } catch (error) {
      await handle.close();
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** The init's connection; rejects when `ended` settles first, or nothing comes within the time. */
  async connected(ended: Promise<string>, patienceMs: number): Promise<Socket> {
    const late = Promise.withResolvers<never>();
    const give = (line: string): void => late.reject(new GuildError("failed_precondition", `the sandbox did not start: ${line}`));
    const timer = setTimeout(() => give(`its init did not report within ${patienceMs / 1000} s`), patienceMs);
    ended.then(give, (error: unknown) => late.reject(error));
    try {
      return await Promise.race([this.#connected.promise, late.promise]);
    } finally {
      clearTimeout(timer);
      late.promise.catch(() => {}); // settled after the race: of no more interest
    }
  }

  async close(): Promise<void> {
    this.#server.close();
    await this.#handle.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** What an init that waits for it is told: its options, in the form of `start.c`. */
export function initOptions(options: readonly string[]): Buffer {
  const text = Buffer.from(options.map((one) => `${one}\0`).join(""), "utf8");
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return Buffer.concat([length, text]);
}
