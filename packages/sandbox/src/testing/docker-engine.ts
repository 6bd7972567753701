import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "@guildhall/core";

import { DockerEngine } from "../docker/engine.ts";

/** A real Docker engine of a test's own. */
export interface TestEngine {
  /** As in DOCKER_HOST. */
  host: string;
  /** Stops it and removes all that it kept. */
  close(): Promise<void>;
}

const PATIENCE_MS = 120_000;

/**
 * Starts Debian's engine in a network namespace, with everything of its own in a temporary directory; for tests that root runs. `remapTo`: users of
 * its containers are these ids outside, by files that only the engine sees in the place of /etc/subuid and /etc/subgid.
 */
export async function startDockerEngine(options: { args?: readonly string[]; remapTo?: number } = {}): Promise<TestEngine> {
  const directory = await mkdtemp(join(tmpdir(), "guildhall-engine-"));
  await chmod(directory, 0o711); // the socket says who may use it
  const socket = join(directory, "docker.sock");
  const log = await open(join(directory, "log"), "w");
  const own = ["--data-root", join(directory, "data"), "--exec-root", join(directory, "exec"), "--pidfile", join(directory, "pid")];
  // Nothing in here is to have a network, so that nothing of this machine's has to be changed for one.
  const network = ["--bridge=none", "--iptables=false", "--ip-masq=false", "--ip-forward=false"];
  const remap: string[] = [];
  let start = ["--net", "--"];
  if (options.remapTo !== undefined) {
    const ids = join(directory, "ids");
    await writeFile(ids, `nobody:${options.remapTo}:65536\nnogroup:${options.remapTo}:65536\n`);
    remap.push("--userns-remap=nobody:nogroup");
    const mount = 'for file in subuid subgid; do mount --bind "$0" /etc/$file || exit; done; exec "$@"';
    start = ["--net", "--mount", "--", "sh", "-c", mount, ids];
  }
  const engine = spawn(
    "unshare",
    [...start, "dockerd", ...remap, ...own, "-H", `unix://${socket}`, "--storage-driver", "overlay2", ...network, ...(options.args ?? [])],
    { stdio: ["ignore", log.fd, log.fd], detached: true },
  );
  await log.close();
  const exited = once(engine, "exit");
  exited.catch(() => {}); // `close` waits for it
  const host = `unix://${socket}`;
  const close = async (): Promise<void> => {
    if (engine.exitCode === null && engine.signalCode === null) {
      engine.kill("SIGTERM");
      await exited;
    }
    await rm(directory, { recursive: true, force: true, maxRetries: 20 });
  };
  const client = new DockerEngine(host);
  for (const start = Date.now(); ;) {
    if (existsSync(socket)) {
      const up = await client.get("/info").catch(() => undefined); // not yet
      if (up !== undefined) return { host, close };
    }
    if (engine.exitCode !== null || engine.signalCode !== null || Date.now() - start > PATIENCE_MS) {
      const said = (await readFile(join(directory, "log"), "utf8")).trim().split("\n").slice(-5).join("\n");
      await close();
      throw new GuildError("failed_precondition", `the test's Docker engine did not start: ${said}`);
    }
    await sleep(50);
  }
}
