import { once } from "node:events";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { callbackify } from "node:util";

import { createSessionAuthority, type NetworkProxy, startNetworkProxy } from "@guildhall/sandbox";

/** A public address; every other one is private here. */
const PUBLIC = "93.184.216.34";

const rule = (host: string): { id: string; host: string; plain: true } => ({ id: host, host, plain: true });

/**
 * The way out of sandboxes that may use the network, and a world of two servers behind it: a public one, and one that stands for all that is
 * private (loopback, metadata) and gives the canary away to whoever reaches it. The proxy is the product's; only names and where it really dials are ours.
 */
export class EscapeInternet {
  /** For `SandboxSpec.wayOut`. */
  readonly directory: string;
  /** What name servers have been asked. */
  readonly asked: string[] = [];
  /** Ports of the public server, without and with TLS, and of the private one, on this machine's loopback. */
  readonly environment: Record<string, string> = {};
  readonly #closing: Array<() => Promise<unknown>> = [];
  #lookups = 0;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async open(directory: string, canary: string): Promise<EscapeInternet> {
    const internet = new EscapeInternet(directory);
    await mkdir(directory);
    await chmod(directory, 0o755);
    const far = await createSessionAuthority("The world", new Date());
    const listen = async (server: ReturnType<typeof createServer>, name: string): Promise<number> => {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      internet.#closing.push(async () => {
        server.closeAllConnections();
        server.close();
        await once(server, "close");
      });
      const { port } = server.address() as AddressInfo;
      internet.environment[name] = String(port);
      return port;
    };
    const inner = await listen(
      createServer((_message, response) => response.end(`${canary}\n`)),
      "INNER",
    );
    const publicly: RequestListener = (message, response) => answer(message, response, canary, inner);
    const plain = await listen(createServer(publicly), "FAR");
    const secure = createSecureServer({ SNICallback: (name, done) => callbackify(() => far.contextFor(name))(done) }, publicly);
    const tls = await listen(secure, "FAR_TLS");
    const authority = await createSessionAuthority("session", new Date());
    for (const name of ["ca.pem", "bundle.pem"]) await writeFile(join(directory, name), authority.certificate, { mode: 0o644 });
    const proxy: NetworkProxy = await startNetworkProxy({
      listen: join(directory, "proxy"),
      authority,
      layers: () => [["www", "metadata", "rebound", "mixed"].map((name) => rule(`${name}.example.com`))],
      resolve: (name) => internet.#resolve(name),
      records: async (name, type) => {
        internet.asked.push(`${type} ${name}`);
        return [];
      },
      report: () => undefined,
      testing: {
        dial: (address, port) => ({ host: "127.0.0.1", port: address !== PUBLIC ? inner : port === 443 ? tls : plain }),
        ca: far.certificate,
      },
    });
    internet.#closing.push(() => proxy.close());
    await chmod(join(directory, "proxy"), 0o666);
    return internet;
  }

  async close(): Promise<void> {
    for (const close of this.#closing.toReversed()) await close();
  }

  async #resolve(name: string): Promise<string[]> {
    this.asked.push(`A ${name}`);
    if (name === "metadata.example.com") return ["169.254.169.254"];
    if (name === "mixed.example.com") return [PUBLIC, "10.0.0.1"];
    // Public to whoever looks first, private to whoever connects then.
    if (name === "rebound.example.com") return [(this.#lookups += 1) % 2 === 1 ? PUBLIC : "127.0.0.1"];
    return [PUBLIC];
  }
}

/** The public server: also somebody else's site at the same address, and pages that lead elsewhere. */
function answer(message: IncomingMessage, response: Parameters<RequestListener>[1], canary: string, inner: number): void {
  const { host = "" } = message.headers;
  const leads: Record<string, string> = {
    "/to-loopback": `http://127.0.0.1:${inner}/`,
    "/to-metadata": "http://169.254.169.254/latest/meta-data",
    "/to-name": "http://metadata.example.com/",
  };
  const location = leads[message.url ?? ""];
  if (location !== undefined) response.writeHead(302, { location }).end();
  else if (host.startsWith("hidden.example.com")) response.end(`${canary}\n`);
  else response.end("public\n");
}
