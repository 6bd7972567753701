import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { SandboxProvider } from "@guildhall/core";
import { eventually, readUntil, startScript } from "@guildhall/core/testing";
import { createSandboxProvider } from "@guildhall/sandbox";

import type { CorpusOptions, Row } from "./corpus.ts";
import { killMarked, running } from "./processes.ts";

/** Attacks that are no script: somebody has to act outside at the same time. */
export const timedAttacks = [
  {
    id: "link-swap",
    title: "swaps a directory for a link outside while a file tool writes into it",
    by: "files are written by the init, inside",
  },
  {
    id: "suspended-owner",
    title: "works on while the process that holds its lease is suspended",
    by: "the init's own clock",
  },
] as const;

const ROUNDS = 150;

/** Tries them as whoever calls; rows as of the others. */
export async function runTimed(options: CorpusOptions, tell: (row: Row) => void): Promise<void> {
  const caller = process.geteuid?.() === 0 ? "root" : "user";
  const make = (name: string): SandboxProvider =>
    createSandboxProvider(name, {
      stateDir: join(options.directory, `state-timed-${name}`),
      ...(options.docker === undefined ? {} : { docker: options.docker }),
    });
  if (options.ids.includes("link-swap")) {
    const through: Row["through"] = {};
    for (const name of options.providers) through[name] = await swapInSandbox(make(name), options.directory);
    tell({ attack: "link-swap", caller, through, control: await swapOpenly(options.directory) });
  }
  if (options.ids.includes("suspended-owner")) {
    const through: Row["through"] = {};
    for (const name of options.providers) through[name] = await outlivesLease(options, name);
    tell({ attack: "suspended-owner", caller, through, control: await outlivesLease(options, "none") });
  }
}

async function swapInSandbox(provider: SandboxProvider, directory: string): Promise<boolean> {
  const place = await arena(directory);
  const sandbox = await provider.create({ id: `swap-${place.mark}`, workspace: place.workspace });
  try {
    const script = `echo up; while :; do mv d real; ln -s ${place.outside} d; rm d; mv real d; done 2>/dev/null`;
    const execution = await startScript(sandbox, script);
    await readUntil(execution, (text) => text.includes("up"));
    for (let round = 0; round < ROUNDS; round++) {
      // It may be a link that leads nowhere at the moment, or not be there: both are refused.
      await sandbox.files.write("d/file", Buffer.from("x")).catch(() => undefined);
    }
    await execution.close();
    return existsSync(join(place.outside, "file"));
  } finally {
    await sandbox.dispose();
    await provider.close();
    await place.close();
  }
}

/** What a tool does that looks first and writes then, outside; the swap comes between, as it may. */
async function swapOpenly(directory: string): Promise<boolean> {
  const place = await arena(directory);
  const target = join(place.workspace, "d");
  if (!existsSync(target)) return false;
  await rename(target, join(place.workspace, "real"));
  await symlink(place.outside, target);
  await writeFile(join(target, "file"), "x");
  await unlink(target);
  const through = existsSync(join(place.outside, "file"));
  await place.close();
  return through;
}

async function arena(directory: string): Promise<{ mark: string; workspace: string; outside: string; close(): Promise<void> }> {
  const mark = randomBytes(4).toString("hex");
  const workspace = join(directory, `swap-${mark}`);
  const outside = join(directory, `swapped-${mark}`);
  await mkdir(join(workspace, "d"), { recursive: true });
  await mkdir(outside);
  const close = async (): Promise<void> => {
    for (const path of [workspace, outside]) await rm(path, { recursive: true, force: true });
  };
  return { mark, workspace, outside, close };
}

/** True: what runs in it is still there long after the lease of its suspended owner. */
async function outlivesLease(options: CorpusOptions, provider: string): Promise<boolean> {
  const mark = `32${randomBytes(6).readUIntBE(0, 6)}`;
  const workspace = join(options.directory, `lease-${mark}`);
  await mkdir(workspace);
  const given = JSON.stringify({
    provider,
    workspace,
    mark,
    stateDir: join(options.directory, `state-lease-${mark}`),
    docker: options.docker,
  });
  const { PATH = "" } = process.env;
  const owner: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, "owner.ts"), given], {
    env: { PATH },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    if (owner.stdout !== null) await once(owner.stdout, "data");
    await eventually(async () => ((await running(mark)) ? true : undefined), 30_000);
    owner.kill("SIGSTOP");
    const patience = provider === "none" ? 3000 : 30_000;
    const gone = await eventually(async () => ((await running(mark)) ? undefined : true), patience).catch(() => false); // it is still there
    return !gone;
  } finally {
    owner.kill("SIGCONT");
    owner.kill("SIGKILL");
    await once(owner, "exit");
    await killMarked(mark);
    await rm(workspace, { recursive: true, force: true });
  }
}
