import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

import { GuildError } from "@guildhall/core";
import { startDockerEngine } from "@guildhall/sandbox/testing";

import type { CorpusOptions, Row } from "./corpus.ts";

const run = promisify(execFile);

/** An ordinary user of this machine, and somebody whom nothing belongs to. */
const USER = 12349;
/** The same for the product: PostgreSQL wants a user with a name. */
const NAMED_USER = 65534;
const NOBODY = { uid: 12350, gid: 12350 };

/**
 * Runs attacks as root and as an ordinary user, in bubblewrap and docker, with an engine of their own; started by an ordinary user only as that one,
 * in bubblewrap. Everything is gone afterwards.
 */
export async function runEverywhere(ids: readonly string[], tell: (row: Row) => void): Promise<Row[]> {
  const asRoot = process.geteuid?.() === 0;
  const directory = await mkdtemp(join(tmpdir(), "guildhall-escape-"));
  await chmod(directory, 0o755);
  const engine = asRoot ? await startDockerEngine({ args: ["--group", String(USER)] }) : undefined;
  const rows: Row[] = [];
  try {
    if (engine !== undefined) await chmod(engine.host.replace("unix://", ""), 0o666);
    const probe = join(directory, "probe");
    await run("gcc", ["-D_GNU_SOURCE", "-O1", "-static", "-o", probe, join(import.meta.dirname, "probe.c")]);
    const common = { probe, ids, nobody: NOBODY, docker: engine === undefined ? undefined : { host: engine.host, runtime: "runc" } };
    const providers = engine === undefined ? ["bubblewrap"] : ["bubblewrap", "docker"];
    const callers = asRoot ? (["root", "user"] as const) : (["user"] as const);
    // Side by side: most of the time they wait for daemons, engines and limits.
    const ends = await Promise.allSettled(
      callers.flatMap((caller) =>
        (["sandbox", "product"] as const).map(async (part) => {
          const own = join(directory, `${caller}-${part}`);
          await mkdir(own);
          const user = part === "sandbox" ? USER : NAMED_USER;
          const as = asRoot && caller === "user" ? { uid: user, gid: user } : {};
          if (as.uid !== undefined) await chown(own, as.uid, as.gid);
          await follow({ ...common, part, directory: own, providers }, as, (row) => {
            rows.push(row);
            tell(row);
          });
        }),
      ),
    );
    for (const end of ends) if (end.status === "rejected") throw GuildError.from(end.reason);
    rows.sort((one, other) => one.caller.localeCompare(other.caller));
    return rows;
  } finally {
    await engine?.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function follow(options: CorpusOptions, ids: { uid?: number; gid?: number }, tell: (row: Row) => void): Promise<void> {
  const { PATH = "" } = process.env;
  const child = spawn(process.execPath, [join(import.meta.dirname, "caller.ts"), JSON.stringify(options)], {
    env: { PATH, HOME: options.directory, TMPDIR: tmpdir() },
    stdio: ["ignore", "pipe", "inherit"],
    ...ids,
  });
  const ended = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout })) tell(JSON.parse(line) as Row);
  const [code] = (await ended) as [number | null];
  if (code !== 0) throw new GuildError("internal", `the corpus ended with ${code}`);
}
