import {
  type Checkpoint,
  type Checkpointer,
  GuildError,
  isBelow,
  isManifest,
  type LeftOut,
  protectedPart,
  type TreeChange,
} from "@guildhall/core";

import { HeldScripts, type HeldScriptsOptions } from "./held-scripts.ts";
import { IdleTime, type IdleWindow } from "./idle-time.ts";
import { findLeftOut } from "./left-out.ts";
import { isHeld, isPassedOver } from "./protected-paths.ts";
import { takeBack } from "./taken-back.ts";

export interface HoldingOptions extends HeldScriptsOptions {
  now(): number;
  /** The tree with which the first capture is compared, and what of the differences is a person's own. Default: with none. */
  from?: { tree: string; persons: ReadonlySet<string>; since: number };
  /** What no agent can write, of what was there before. */
  trusted: readonly string[];
  /** Told of what came after a tree: something of it runs on, unseen; it has ended so; somebody has looked. */
  unseen?: { runs(tree: string): Promise<void>; ended(tree: string): Promise<void>; seen(): Promise<void> };
}

/**
 * A checkpointer that sets aside what an action has newly made at a protected path, before the checkpoint is taken: whatever made it, the shell
 * too. Of files that were there before most are read-only inside, so that a change is the person's own and stays; of the others it is put back.
 * What a person does between two turns stays as it is. Tells of new git repositories below the workspace as well.
 */
export function holdingCheckpointer(checkpointer: Checkpointer, options: HoldingOptions): Checkpointer {
  const { sandbox, session, held, unprotected } = options;
  const began = options.now();
  const repositories = new Set<string>();
  const scripts = new HeldScripts(options);
  const idle = new IdleTime(options);
  /** Set aside, and to stay away: something may still run that makes them again. */
  const away = new Set<string>();
  /** Left out of checkpoints, and a person's. */
  const seen = new Set<string>();
  let { from } = options;
  let last = from?.tree;
  let leftOut: readonly LeftOut[] = [];
  let noted = false;

  async function capture(everywhere = false): Promise<Checkpoint> {
    const checkpoint = await look(everywhere);
    if (noted) await options.unseen?.seen();
    noted = false;
    return checkpoint;
  }

  /** `everywhere`: where it takes long as well. */
  async function look(everywhere: boolean): Promise<Checkpoint> {
    const outside = await idle.look();
    const checkpoint = await checkpointer.capture();
    const before = last;
    leftOut = checkpoint.leftOut ?? [];
    const trusted = [...options.trusted, ...seen];
    const since = (from?.since ?? began) - CLOCK_MARGIN_MS;
    const hidden = before === undefined ? [] : await findLeftOut(leftOut, everywhere || from !== undefined, { ...options, trusted, since });
    for (const directory of checkpoint.disarmed ?? []) tellOfDisarmed(directory, options);
    if (before === undefined || (before === checkpoint.tree && away.size === 0 && hidden.length === 0)) {
      last = checkpoint.tree;
      return checkpoint;
    }
    const changed = await checkpointer.diff(before, checkpoint.tree);
    const all = [...changed, ...hidden.map((path) => ({ path, change: "added" as const }))];
    const persons = outside === undefined ? new Set(from?.persons) : await changedWithin(outside, all, options);
    const changes = all.filter(({ path }) => !persons.has(path));
    const added = changes.filter(({ change }) => change === "added");
    await tellOfRepositories(added, repositories, began, options);
    const isProtected = ({ path }: TreeChange): boolean => isHeld(path, unprotected);
    const others = changes
      .filter((one) => one.change !== "added" && isProtected(one) && protectedPart(one.path) !== undefined && !away.has(one.path))
      .map(({ path }) => path);
    const links = changes.filter((one) => one.change === "modified" && isProtected(one) && protectedPart(one.path) === undefined);
    const left = await takeBack(others, before, checkpoint.tree, options);
    for (const path of [...left, ...[...persons].filter((path) => isHeld(path, unprotected))]) {
      held.tell(session, `${path} was changed by the person; programs of the person's own run or obey it. It stays as it is.`);
    }
    scripts.forget(persons);
    for (const path of persons) {
      away.delete(path);
      seen.add(path);
    }
    const paths = changes.filter(({ change }) => change !== "deleted").map(({ path }) => path);
    const settled = await scripts.settle(paths, before, checkpoint.tree);
    const aside = [...added.filter(isProtected), ...links].map(({ path }) => path);
    const taken = await setAllAside([...aside, ...hidden.filter((path) => !persons.has(path)), ...away]);
    from = undefined;
    if (!taken && !settled && left.length === others.length) {
      last = checkpoint.tree;
      return checkpoint;
    }
    const after = await checkpointer.capture();
    last = after.tree;
    return after;
  }

  /** True: one of them was there. */
  async function setAllAside(paths: readonly string[]): Promise<boolean> {
    let taken = false;
    for (const path of new Set(paths)) {
      const found = await setAside(path, options);
      if (found === "taken" || found === "removed") {
        taken = true;
        const why = from === undefined ? "" : " It came while nobody looked, so that it may be the person's own.";
        const line = found === "taken" ? `${SET_ASIDE}${why} ${putInPlace(session, path)}` : `${REMOVED}${why}`;
        if (!away.has(path)) held.tell(session, `${path} ${line}`);
      }
      if (found === "stays") {
        away.delete(path);
        seen.add(path);
      } else away.add(path);
    }
    return taken;
  }

  return {
    capture: () => capture(),
    async restore(tree) {
      const changes = await checkpointer.restore(tree);
      last = tree;
      return changes;
    },
    diff: (one, other) => checkpointer.diff(one, other),
    async rest() {
      // Looked into at the end of a turn, and not after each step.
      if (last !== undefined && leftOut.some(({ path }) => !isPassedOver(path))) await capture(true).catch(unlessGone);
      await idle.rest();
      if (last === undefined || !(await leavesSomething(options))) return;
      noted = true;
      await options.unseen?.runs(last);
    },
    resume: () => idle.resume(),
    async close() {
      try {
        if (last !== undefined && (await idle.mayHaveWritten())) {
          // What still runs would make again what is taken away.
          await sandbox.endAll();
          await capture(true);
        } else if (noted) await options.unseen?.seen();
      } catch (error) {
        // The sandbox has gone already: nothing more of it can be looked at, but by the next.
        if (!GuildError.is(error)) throw error;
        if (last !== undefined) await options.unseen?.ended(last);
      }
      await checkpointer.close();
    },
  };
}

const SET_ASIDE = "was set aside: programs of the person's own would run or obey it.";

const REMOVED = "was removed: programs of the person's own would run or obey it, and it is no file, or too large to be kept.";

function putInPlace(session: string, path: string): string {
  return `A person can put it in place with guild session apply ${session} --paths ${path}; go on without it.`;
}

/** File systems count time in ticks, and another machine's may have another clock. */
const CLOCK_MARGIN_MS = 1_000;

async function leavesSomething({ sandbox }: HoldingOptions): Promise<boolean> {
  try {
    return ((await sandbox.usage()).left ?? 0) > 0;
  } catch (error) {
    unlessGone(error);
    return false;
  }
}

function unlessGone(error: unknown): void {
  if (!GuildError.is(error)) throw error;
}

/** Of the changes that matter here, those that were made within. */
async function changedWithin({ from, to }: IdleWindow, changes: readonly TreeChange[], options: HoldingOptions): Promise<Set<string>> {
  const { sandbox, unprotected } = options;
  const found = new Set<string>();
  for (const { path } of changes) {
    if (!isHeld(path, unprotected) && !(isManifest(path) && !isBelow(path, unprotected))) continue;
    if (from === -Infinity && to === Infinity) found.add(path);
    else {
      const { ctimeMs } = await sandbox.files.stat(path).catch(() => ({ ctimeMs: undefined })); // gone: nobody says when
      if (ctimeMs !== undefined && ctimeMs > from && ctimeMs <= to) found.add(path);
    }
  }
  return found;
}

/** `removed`: and not kept. `stays`: a person has put it in place, or it is nothing that could be obeyed. */
async function setAside(path: string, options: HoldingOptions): Promise<"taken" | "removed" | "absent" | "stays"> {
  const { sandbox, session, held, unprotected } = options;
  try {
    const { kind, mode } = await sandbox.files.stat(path);
    if (kind === "directory" || (kind !== "symlink" && isHeld(path, unprotected) && protectedPart(path) === undefined)) return "stays";
    // Whoever cannot read it here may be somebody who can.
    if (kind === "file" && (mode & 0o400) === 0) await sandbox.files.chmod(path, mode | 0o600);
    const content =
      kind === "file"
        ? await sandbox.files.read(path, { length: LARGEST_KEPT + 1 })
        : kind === "symlink"
          ? Buffer.from(await sandbox.files.readlink(path))
          : undefined;
    if (kind === "file" && content !== undefined && held.isApproved(session, path, content)) return "stays";
    const place = kind === "symlink" ? `${path}.link` : path;
    const kept = content !== undefined && content.length <= LARGEST_KEPT && (await keep(place, content, (mode & 0o100) !== 0, options));
    await sandbox.files.remove(path);
    return kept ? "taken" : "removed";
  } catch (error) {
    // Gone again, or something that still runs got in the way: the next checkpoint looks once more.
    if (!GuildError.is(error)) throw error;
    return "absent";
  }
}

const LARGEST_KEPT = 16 << 20;

/** False: its name is too long for where it would be kept, or there is no room, which is no reason to leave it where it is. */
async function keep(path: string, content: Uint8Array, program: boolean, { held, session }: HoldingOptions): Promise<boolean> {
  try {
    await held.hold(session, path, content, program);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return false;
  }
}

function tellOfDisarmed(directory: string, { session, held }: HoldingOptions): void {
  held.tell(
    session,
    `In ${directory}, what git would run (hooks, configuration that names programs) was put aside, with .from-sandbox after its name: a person's git may come near it. Pass such settings on the command line instead, as git -c does.`,
  );
}

async function tellOfRepositories(
  added: readonly TreeChange[],
  known: Set<string>,
  began: number,
  { sandbox, session, held }: HoldingOptions,
): Promise<void> {
  const directories = new Set(added.flatMap(({ path }) => above(path)).slice(0, MOST_LOOKS));
  for (const directory of directories) {
    if (known.has(directory)) continue;
    known.add(directory);
    // Written once when a repository is made, and hardly ever after.
    for (const name of ["description", "config"]) {
      const found = await sandbox.files.stat(`${directory}/.git/${name}`).catch(() => undefined); // there is none
      if (found === undefined) continue;
      if (found.mtimeMs >= began) {
        held.tell(
          session,
          `${directory} has become a git repository of its own: programs of the person's that run git there obey its configuration and hooks.`,
        );
      }
      break;
    }
  }
}

const MOST_LOOKS = 200;

/** The directories above a file, the workspace itself not. */
function above(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}
