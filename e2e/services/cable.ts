import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** Which way nothing gets through, without either side being told. `up`: towards the service. */
export type Cut = "none" | "up" | "down" | "both";

/** A line between a service and those who speak to it, which a test can cut, slow down and tear. */
export class Cable {
  readonly address: string;
  cut: Cut = "none";
  /** Longest time that a packet is held back, milliseconds; each for as long as chance will. */
  delayMs = 0;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(server: net.Server) {
    this.#server = server;
    this.address = `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
  }

  static async to(port: number): Promise<Cable> {
    const server = net.createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const cable = new Cable(server);
    server.on("connection", (client) => cable.#join(client, net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })));
    return cable;
  }

  /** Whole again: connections that lost something on the way are gone. */
  mend(): void {
    this.cut = "none";
    this.tear();
  }

  /** Every connection breaks, wherever it was. */
  tear(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.tear();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: net.Socket, service: net.Socket): void {
    for (const [from, to, way] of [
      [client, service, "up"],
      [service, client, "down"],
    ] as const) {
      this.#sockets.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      this.#carry(from, to, way).catch(() => to.destroy()); // A torn line, which is what this is for.
    }
  }

  async #carry(from: net.Socket, to: net.Socket, way: "up" | "down"): Promise<void> {
    for await (const chunk of from as AsyncIterable<Uint8Array>) {
      if (this.delayMs > 0) await sleep(Math.random() * this.delayMs);
      if (this.cut !== "both" && this.cut !== way) to.write(chunk);
    }
    if (this.cut === "none") to.end();
  }
}
