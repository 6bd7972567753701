import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

import { Home } from "../cli/guild.ts";

/** A request that reached a server of the small internet. */
export interface Received {
  method: string;
  url: string;
  host: string;
  authorization?: string;
  headers: Record<string, string>;
  body: string;
}

/** Why the tests that need a small internet cannot run; false: they can. */
export const noInternet = process.getuid?.() === 0 ? false : "only root can give itself a network with public addresses";

/** A small internet of this test's own, in a network namespace: see `world.ts`. */
export class Internet {
  readonly received: Received[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), "guild-internet-"));
  /** Authority of its certificates, for who is to trust them. */
  readonly authority = join(this.folder, "world.pem");
  #world: ChildProcessByStdio<Writable, Readable, null> | undefined;

  async start(): Promise<void> {
    const program = [process.execPath, join(import.meta.dirname, "world.ts"), join(this.folder, "hosts")];
    const world = spawn("unshare", ["--net", "--mount", "--", ...program], { stdio: ["pipe", "pipe", "inherit"] });
    this.#world = world;
    const ready = Promise.withResolvers<string>();
    world.once("exit", (code) => ready.reject(new Error(`the world ended: ${code}`)));
    createInterface({ input: world.stdout }).on("line", (line) => {
      const told = JSON.parse(line) as Received | { ready: true; certificate: string };
      if ("ready" in told) ready.resolve(told.certificate);
      else this.received.push(told);
    });
    writeFileSync(this.authority, await ready.promise);
  }

  /** A home whose daemon lives in this internet and trusts its authority. */
  home(): Home {
    const pid = this.#world?.pid ?? 0;
    const enter = [
      "nsenter",
      `--net=/proc/${pid}/ns/net`,
      `--mount=/proc/${pid}/ns/mnt`,
      "--",
      "env",
      `NODE_EXTRA_CA_CERTS=${this.authority}`,
    ];
    return new Home(tmpdir(), enter);
  }

  async stop(): Promise<void> {
    const world = this.#world;
    if (world !== undefined && world.exitCode === null) {
      world.stdin.end();
      await once(world, "exit");
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
