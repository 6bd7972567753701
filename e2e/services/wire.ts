import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import type { Cut } from "./cable.ts";

const [here, there] = ["127.77.0.1", "127.77.0.2"];
/** Nobody's: what is sent there is lost without a word. */
const nowhere = "02:00:00:00:00:99";
const isRoot = process.getuid?.() === 0;

/**
 * A network of its own for one process, with a line of the kernel's to the services of this machine. Packets that are cut vanish, as they do between
 * machines: no side is told. Made of namespaces, by root and by an ordinary user alike. (Addresses are those of loopback, where plain text may go.)
 */
export class Wire {
  /** What a process is started with to be at its far end. */
  readonly enter: readonly string[];
  readonly #ends: readonly [ChildProcess, ChildProcess];
  readonly #relays: ChildProcess[] = [];
  readonly #servers: net.Server[] = [];
  readonly #directory = mkdtempSync(join(tmpdir(), "guild-wire-"));
  #cut: Cut | "unplugged" = "none";

  private constructor(near: ChildProcess, far: ChildProcess) {
    this.#ends = [near, far];
    this.enter = inside(far);
  }

  static async lay(): Promise<Wire> {
    const near = hold(["unshare", ...(isRoot ? [] : ["-Ur"]), "-n"]);
    await entered(near, process.pid);
    const far = hold([...inside(near), "unshare", "-n"]);
    await entered(far, near.pid ?? 0);
    const wire = new Wire(near, far);
    wire.#in(near, "ip", "link", "add", "line", "type", "veth", "peer", "name", "line", "netns", String(far.pid));
    for (const [end, address] of [
      [near, here],
      [far, there],
    ] as const) {
      wire.#in(end, "ip", "link", "set", "lo", "up");
      // The rest of loopback's addresses is behind the line.
      wire.#in(end, "ip", "addr", "del", "127.0.0.1/8", "dev", "lo");
      wire.#in(end, "ip", "addr", "add", "127.0.0.1/32", "dev", "lo");
      wire.#in(end, "sh", "-c", "for file in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 1 > $file; done");
      wire.#in(end, "ip", "addr", "add", `${address}/24`, "dev", "line");
      wire.#in(end, "ip", "link", "set", "line", "up");
    }
    return wire;
  }

  /** Address at the far end of a service of this machine, `host:port`. */
  async to(service: string): Promise<string> {
    const [host = "", port = ""] = service.split(":");
    const socket = join(this.#directory, port);
    const server = net.createServer((near) => {
      const onward = net.connect(Number(port), host);
      near.pipe(onward).pipe(near);
      near.on("error", () => onward.destroy());
      onward.on("error", () => near.destroy());
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    this.#servers.push(server);
    const relay = ["setpriv", "--pdeathsig", "KILL", "socat", `TCP-LISTEN:${port},bind=${here},fork,reuseaddr`, `UNIX-CONNECT:${socket}`];
    const [command = "", ...args] = [...inside(this.#ends[0]), ...relay];
    this.#relays.push(spawn(command, args, { stdio: "ignore", detached: true }));
    const address = `${here}:${port}`;
    while (!this.#answers(address)) await sleep(50);
    return address;
  }

  get cut(): Cut | "unplugged" {
    return this.#cut;
  }

  /** `up`: nothing gets from the far end to the services. `unplugged`: both ends see that there is no line. */
  set cut(cut: Cut | "unplugged") {
    const [near, far] = this.#ends;
    this.#cut = cut;
    this.#in(near, "ip", "link", "set", "line", cut === "unplugged" ? "down" : "up");
    for (const [end, address, way] of [
      [near, there, "down"],
      [far, here, "up"],
    ] as const) {
      if (cut === way || cut === "both") {
        this.#in(end, "ip", "neigh", "replace", address, "lladdr", nowhere, "dev", "line", "nud", "permanent");
      } else {
        this.#in(end, "sh", "-c", `ip neigh del ${address} dev line 2>/dev/null || true`);
      }
    }
  }

  mend(): void {
    this.cut = "none";
  }

  async close(): Promise<void> {
    for (const { pid } of this.#relays) if (pid !== undefined) process.kill(-pid, "SIGKILL");
    for (const end of this.#ends) end.kill("SIGKILL");
    for (const server of this.#servers) server.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #answers(address: string): boolean {
    const [host = "", port = ""] = address.split(":");
    try {
      this.#in(this.#ends[1], "socat", "-u", "OPEN:/dev/null", `TCP:${host}:${port}`);
      return true;
    } catch {
      // Its relay has not begun.
      return false;
    }
  }

  #in(end: ChildProcess, ...command: string[]): void {
    const [program = "", ...args] = [...inside(end), ...command];
    execFileSync(program, args, { stdio: "ignore" });
  }
}

/** Somebody who keeps a namespace while this process lives. */
function hold(enter: readonly string[]): ChildProcess {
  const [command = "", ...args] = enter.concat("cat");
  return spawn(command, args, { stdio: ["pipe", "ignore", "ignore"] });
}

function inside({ pid }: ChildProcess): string[] {
  return ["nsenter", "-t", String(pid), ...(isRoot ? [] : ["-U", "--preserve-credentials"]), "-n"];
}

/** Waits until the process is in another network than `other`. */
async function entered({ pid }: ChildProcess, other: number): Promise<void> {
  const of = (one: number): string => execFileSync("readlink", [`/proc/${one}/ns/net`], { encoding: "utf8" });
  while (of(pid ?? 0) === of(other)) await sleep(20);
}
