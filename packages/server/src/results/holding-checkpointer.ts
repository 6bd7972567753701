import { type Checkpoint, type Checkpointer, GuildError, isBelow, isManifest, protectedPart, type TreeChange } from "@guildhall/core";

import { HeldScripts, type HeldScriptsOptions } from "./held-scripts.ts";
import { IdleTime, type IdleWindow } from "./idle-time.ts";
import { takeBack } from "./taken-back.ts";

export interface HoldingOptions extends HeldScriptsOptions {
  now(): number;
  /** The tree with which the first capture is compared, and what of the differences is a person's own. Default: with none. */
  from?: { tree: string; persons: ReadonlySet<string> };
  /** Called when it is closed without having been able to look at what came after this tree. */
  unseen?(tree: string): void;
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
  let { from } = options;
  let last = from?.tree;

  async function capture(): Promise<Checkpoint> {
    const outside = await idle.look();
    const checkpoint = await checkpointer.capture();
    const before = last;
    for (const directory of checkpoint.disarmed ?? []) tellOfDisarmed(directory, options);
    if (before === undefined || (before === checkpoint.tree && away.size === 0)) {
      last = checkpoint.tree;
      return checkpoint;
    }
    const all = await checkpointer.diff(before, checkpoint.tree);
    const persons = outside === undefined ? new Set(from?.persons) : await changedWithin(outside, all, options);
    const changes = all.filter(({ path }) => !persons.has(path));
    const added = changes.filter(({ change }) => change === "added");
    await tellOfRepositories(added, repositories, began, options);
    const isProtected = ({ path }: TreeChange): boolean => isHeld(path, unprotected);
    const others = changes.filter((one) => one.change !== "added" && isProtected(one) && !away.has(one.path)).map(({ path }) => path);
    const left = await takeBack(others, before, checkpoint.tree, options);
    for (const path of [...left, ...[...persons].filter((path) => isHeld(path, unprotected))]) {
      held.tell(session, `${path} was changed by the person; programs of the person's own run or obey it. It stays as it is.`);
    }
    scripts.forget(persons);
    for (const path of persons) away.delete(path);
    const paths = changes.filter(({ change }) => change !== "deleted").map(({ path }) => path);
    const settled = await scripts.settle(paths, before, checkpoint.tree);
    const taken = await setAllAside([...added.filter(isProtected).map(({ path }) => path), ...away]);
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
      if (found === "taken") {
        taken = true;
        const why = from === undefined ? "" : " It came while nobody looked, so that it may be the person's own.";
        if (!away.has(path)) held.tell(session, `${path} ${SET_ASIDE}${why} ${putInPlace(session, path)}`);
      }
      if (found === "stays") away.delete(path);
      else away.add(path);
    }
    return taken;
  }

  return {
    capture,
    async restore(tree) {
      const changes = await checkpointer.restore(tree);
      last = tree;
      return changes;
    },
    diff: (one, other) => checkpointer.diff(one, other),
    rest: () => idle.rest(),
    resume: () => idle.resume(),
    async close() {
      try {
        if (last !== undefined && (await idle.mayHaveWritten())) {
          // What still runs would make again what is taken away.
          await sandbox.endAll();
          await capture();
        }
      } catch (error) {
        // The sandbox has gone already: nothing more of it can be looked at, but by the next.
        if (!GuildError.is(error)) throw error;
        if (last !== undefined) options.unseen?.(last);
      }
      await checkpointer.close();
    },
  };
}

const SET_ASIDE = "was set aside: programs of the person's own would run or obey it.";

function putInPlace(session: string, path: string): string {
  return `A person can put it in place with guild session apply ${session} --paths ${path}; go on without it.`;
}

function isHeld(path: string, unprotected: readonly string[]): boolean {
  return protectedPart(path) !== undefined && !isBelow(path, unprotected);
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

/** `stays`: a person has put it in place, or it is nothing that could be obeyed. */
async function setAside(path: string, { sandbox, session, held }: HoldingOptions): Promise<"taken" | "absent" | "stays"> {
  try {
    const { kind, mode } = await sandbox.files.stat(path);
    if (kind === "file") {
      const content = await sandbox.files.read(path);
      if (held.isApproved(session, path, content)) return "stays";
      await held.hold(session, path, content, (mode & 0o100) !== 0);
    } else if (kind === "symlink") await held.hold(session, `${path}.link`, Buffer.from(await sandbox.files.readlink(path)), false);
    else return "stays";
    await sandbox.files.remove(path);
    return "taken";
  } catch (error) {
    // Gone again, or something that still runs got in the way: the next checkpoint looks once more.
    if (!GuildError.is(error)) throw error;
    return "absent";
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
