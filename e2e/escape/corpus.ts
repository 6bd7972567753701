import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, chown, copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { createSandboxProvider, type SandboxProviderOptions } from "@guildhall/sandbox";

import { gitIdentity, type Outcome, runInSandbox, runOpenly } from "./arena.ts";
import type { Attack } from "./attack.ts";
import { fileAttacks } from "./attacks/files.ts";
import { kernelAttacks } from "./attacks/kernel.ts";
import { networkAttacks } from "./attacks/network.ts";
import { processAttacks } from "./attacks/processes.ts";
import { repositoryAttacks } from "./attacks/repository.ts";
import { resourceAttacks } from "./attacks/resources.ts";
import { wayOutAttacks } from "./attacks/way-out.ts";
import { killMarked } from "./processes.ts";
import { World } from "./world.ts";

const run = promisify(execFile);

/** Every attack that is a script. */
export const attacks: Attack[] = [
  ...fileAttacks,
  ...processAttacks,
  ...kernelAttacks,
  ...resourceAttacks,
  ...networkAttacks,
  ...wayOutAttacks,
  ...repositoryAttacks,
];

/** What one caller saw of one attack. */
export interface Row {
  attack: string;
  caller: "root" | "user";
  /** By provider: whether it got through. */
  through: Record<string, boolean>;
  /** Whether it works without a sandbox; undefined: only root can show it. */
  control: boolean | undefined;
}

export interface CorpusOptions {
  part: "sandbox" | "product";
  /** A directory of the caller's own, for everything. */
  directory: string;
  probe: string;
  ids: readonly string[];
  providers: readonly string[];
  docker: SandboxProviderOptions["docker"];
  /** Whom controls run as, where the caller is root. */
  nobody: { uid: number; gid: number };
}

/** Tries attacks in the sandboxes of each provider and without one, as whoever calls. */
export async function runCorpus(options: CorpusOptions, tell: (row: Row) => void): Promise<void> {
  const asRoot = process.geteuid?.() === 0;
  const as = asRoot ? options.nobody : {};
  await chmod(options.directory, 0o755);
  const outside = await mkdtemp(join(options.directory, "outside-"));
  const world = await World.open(outside, options.probe, as);
  const providers = options.providers.map((name) =>
    createSandboxProvider(name, {
      stateDir: join(options.directory, `state-${name}`),
      ...(options.docker === undefined ? {} : { docker: options.docker }),
    }),
  );
  try {
    for (const attack of attacks.filter(({ id }) => options.ids.includes(id))) {
      const through: Row["through"] = {};
      const attempt = async (owner: { uid?: number; gid?: number }, act: Act): Promise<boolean | undefined> => {
        const mark = `31${randomBytes(6).readUIntBE(0, 6)}`;
        const workspace = join(options.directory, `workspace-${mark}`);
        await prepare(attack, workspace, options.probe, owner);
        await world.restore();
        try {
          const outcome = await act(workspace, mark);
          if (outcome === undefined) return undefined;
          if (attack.afterwards !== undefined) await person(attack.afterwards, workspace, owner);
          return await judged(attack, { ...outcome, workspace, world, mark });
        } finally {
          await killMarked(mark);
          await rm(workspace, { recursive: true, force: true });
        }
      };
      for (const provider of providers) {
        const result = await attempt({}, (workspace, mark) =>
          runInSandbox(provider, attack, { workspace, mark, environment: world.environment(mark), wayOut: world.internet.directory }),
        );
        through[provider.name] = result === true;
      }
      const control = await attempt(as, (workspace, mark) => runOpenly(attack, { workspace, as, environment: world.environment(mark) }));
      tell({ attack: attack.id, caller: asRoot ? "root" : "user", through, control });
    }
  } finally {
    for (const provider of providers) await provider.close();
    await world.close();
    await rm(outside, { recursive: true, force: true });
  }
}

type Act = (workspace: string, mark: string) => Promise<Outcome | undefined>;

async function prepare(attack: Attack, workspace: string, probe: string, owner: { uid?: number; gid?: number }): Promise<void> {
  await mkdir(workspace);
  await copyFile(probe, join(workspace, "probe"));
  if (attack.repository === true) {
    await run("git", ["init", "-q", workspace]);
    await run("git", ["-C", workspace, "commit", "-q", "--allow-empty", "-m", "first"], { env: { ...process.env, ...gitIdentity } });
  }
  if (owner.uid !== undefined && owner.gid !== undefined) {
    await run("chown", ["-R", "--no-dereference", `${owner.uid}:${owner.gid}`, workspace]);
    await chown(workspace, owner.uid, owner.gid);
  }
}

/** What the owner of the workspace does in it, outside. It may fail: what matters is what it runs. */
async function person(script: string, workspace: string, owner: { uid?: number; gid?: number }): Promise<void> {
  const { PATH = "" } = process.env;
  await run("bash", ["-c", script], { cwd: workspace, env: { PATH, HOME: workspace, ...gitIdentity }, timeout: 60_000, ...owner }).catch(
    () => undefined,
  );
}

async function judged(attack: Attack, seen: Parameters<NonNullable<Attack["judge"]>>[0]): Promise<boolean> {
  if (attack.judge !== undefined) return await attack.judge(seen);
  return /^(?:.* )?THROUGH$/m.test(seen.stdout) || seen.stdout.includes(seen.world.canary);
}
