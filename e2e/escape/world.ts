import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { chmod, chown, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";

import { EscapeInternet } from "./internet.ts";

interface Parts {
  internet: EscapeInternet;
  outside: string;
  canary: string;
  datagrams: string[];
  helpers: ChildProcess[];
  servers: Array<{ close(): void }>;
  environment: Record<string, string>;
}

/** What stands on the host, outside of every sandbox, for attacks to reach: all of it made for them, open to everybody. */
export class World {
  /** Directory with `secret` (the canary), `victim` (anybody may write it), sockets, `home/`, `bin/`. */
  readonly outside: string;
  /** What must not come out. */
  readonly canary: string;
  /** Datagrams that have come. */
  readonly datagrams: readonly string[];
  /** Behind the way out of sandboxes that have one. */
  readonly internet: EscapeInternet;
  readonly #parts: Parts;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.outside = parts.outside;
    this.canary = parts.canary;
    this.datagrams = parts.datagrams;
    this.internet = parts.internet;
  }

  /** `as`: whom the helper processes run as, where the caller is root. */
  static async open(outside: string, probe: string, as: { uid?: number; gid?: number }): Promise<World> {
    const canary = `canary-${randomBytes(8).toString("hex")}`;
    for (const directory of [outside, join(outside, "home"), join(outside, "bin")]) {
      await mkdir(directory, { recursive: true });
      await chmod(directory, 0o777);
    }
    for (const [name, text] of [
      ["secret", canary],
      ["victim", "untouched"],
    ] as const) {
      await writeFile(join(outside, name), text);
      if (as.uid !== undefined && as.gid !== undefined) await chown(join(outside, name), as.uid, as.gid);
      await chmod(join(outside, name), 0o666);
    }
    await copyFile(probe, join(outside, "probe"));
    const answer = (): Server => createServer((socket) => void socket.on("error", () => undefined).end(`${canary}\n`));
    const abstract = `guildhall-escape-${randomBytes(8).toString("hex")}`;
    const loopback = answer().listen(0, "127.0.0.1");
    const servers = [loopback, answer(), answer()];
    servers[1]?.listen({ path: join(outside, "host.sock"), readableAll: true, writableAll: true });
    servers[2]?.listen({ path: `\0${abstract}` });
    await Promise.all(servers.map((server) => once(server, "listening")));
    const datagrams: string[] = [];
    const socket = createSocket("udp4", (message) => void datagrams.push(message.toString()));
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    // With the canary in its environment and memory, and the secret open as descriptor 9.
    const helper = spawn("/bin/sh", ["-c", 'exec 9<"$0"; echo up; exec sleep 100000', join(outside, "secret")], {
      env: { PATH: process.env["PATH"], ESCAPE_CANARY: canary },
      stdio: ["ignore", "pipe", "ignore"],
      ...as,
    });
    await once(helper.stdout, "data");
    const giver = spawn(join(outside, "probe"), ["pass-give", join(outside, "pass.sock"), join(outside, "secret")], {
      stdio: ["ignore", "pipe", "ignore"],
      ...as,
    });
    await once(giver.stdout, "data");
    const internet = await EscapeInternet.open(join(outside, "way-out"), canary);
    const environment = {
      ...internet.environment,
      OUTSIDE: outside,
      PORT: String((loopback.address() as AddressInfo).port),
      UDP: String(socket.address().port),
      SOCKET: join(outside, "host.sock"),
      ABSTRACT: abstract,
      PASS: join(outside, "pass.sock"),
      HELPER: String(helper.pid),
    };
    return new World({ internet, outside, canary, datagrams, helpers: [helper, giver], servers: [...servers, socket], environment });
  }

  /** What scripts find in their environment. */
  environment(mark: string): Record<string, string> {
    const at = (name: string): string => join(this.outside, `${name}-${mark}`);
    return { ...this.#parts.environment, MARK: mark, MARKER: at("marker"), PLANT: at("plant") };
  }

  /** Puts back what an attack may have changed. */
  async restore(): Promise<void> {
    await writeFile(join(this.outside, "victim"), "untouched");
  }

  async victim(): Promise<string> {
    return await readFile(join(this.outside, "victim"), "utf8");
  }

  async close(): Promise<void> {
    for (const child of this.#parts.helpers) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    for (const server of this.#parts.servers) server.close();
    await this.internet.close();
  }
}
