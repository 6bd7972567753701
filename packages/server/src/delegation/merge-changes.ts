import { randomUUID } from "node:crypto";
import { dirname } from "node:path/posix";

import { type CheckpointStore, GIT_EXECUTABLE, GIT_FILE, GIT_SYMLINK, gitObjectId, GuildError, type Sandbox } from "@guildhall/core";
import type { FileDifference } from "@guildhall/sandbox";

type Version = NonNullable<FileDifference["to"]>;

/**
 * Brings changes that were made in a copy of the workspace into the one that the sandbox has: what was not touched there is taken over, text
 * that was changed on both sides is merged line by line, and what does not go together stays as it is there and is returned, with the reason.
 * `theirs`: it is taken from the copy instead. All through the sandbox: no link that an agent planted leads out. May be repeated.
 */
export async function mergeChanges(
  sandbox: Sandbox,
  store: CheckpointStore,
  changes: readonly FileDifference[],
  options: { theirs: boolean },
): Promise<Array<{ path: string; why: string }>> {
  const conflicts: Array<{ path: string; why: string }> = [];
  for (const change of changes) {
    try {
      const why = await mergeOne(sandbox, store, change, options.theirs);
      if (why !== undefined) conflicts.push({ path: change.path, why });
    } catch (error) {
      // One file that cannot be written (protected, no space) is no reason to leave the others.
      if (!GuildError.is(error) || error.code === "unavailable" || error.code === "internal") throw error;
      conflicts.push({ path: change.path, why: error.message });
    }
  }
  return conflicts;
}

async function mergeOne(sandbox: Sandbox, store: CheckpointStore, change: FileDifference, theirs: boolean): Promise<string | undefined> {
  const { path, from, to } = change;
  const present = await lookAt(sandbox, path);
  const version = present?.version;
  if (same(version, to)) return undefined;
  if (theirs || same(version, from)) {
    await put(sandbox, path, to === undefined ? undefined : { mode: to.mode, content: (await store.get(to.id)).content }, present);
    return undefined;
  }
  if (present?.kind === "directory") return "a directory stands there";
  if (version === undefined) return "it was removed here and changed there";
  if (to === undefined) return "it was changed here and removed there";
  if (from === undefined) return "it was made on both sides";
  if ([version, from, to].some(({ mode }) => mode === GIT_SYMLINK)) return "it was changed on both sides, and is a link";
  const [base, other] = await Promise.all([store.get(from.id), store.get(to.id)]);
  const merged = await mergeText(sandbox, present?.content ?? new Uint8Array(), base.content, other.content);
  if (merged === undefined) return "it was changed on both sides in the same place";
  await put(sandbox, path, { mode: version.mode === from.mode ? to.mode : version.mode, content: merged }, present);
  return undefined;
}

interface Present {
  kind: "file" | "symlink" | "directory";
  version: Version | undefined;
  content: Uint8Array;
}

async function lookAt({ files }: Sandbox, path: string): Promise<Present | undefined> {
  let stat;
  try {
    stat = await files.stat(path);
  } catch (error) {
    if (GuildError.is(error, "not_found") || GuildError.is(error, "failed_precondition")) return undefined;
    throw error;
  }
  if (stat.kind === "directory") return { kind: "directory", version: { mode: 0, id: "directory" }, content: new Uint8Array() };
  if (stat.kind === "other") throw new GuildError("failed_precondition", "what stands there is neither file nor link", { subject: path });
  const content = stat.kind === "symlink" ? Buffer.from(await files.readlink(path)) : await files.read(path);
  const mode = stat.kind === "symlink" ? GIT_SYMLINK : (stat.mode & 0o100) === 0 ? GIT_FILE : GIT_EXECUTABLE;
  return { kind: stat.kind, version: { mode, id: gitObjectId("blob", content) }, content };
}

async function put(
  { files }: Sandbox,
  path: string,
  file: { mode: number; content: Uint8Array } | undefined,
  present: Present | undefined,
): Promise<void> {
  const kind = file === undefined ? undefined : file.mode === GIT_SYMLINK ? "symlink" : "file";
  if (present !== undefined && (kind === undefined || kind === "symlink" || present.kind !== kind)) {
    await files.remove(path, { recursive: present.kind === "directory" });
  }
  if (file === undefined) return;
  if (kind === "symlink") {
    if (dirname(path) !== ".") await files.mkdir(dirname(path), { parents: true });
    await files.symlink(Buffer.from(file.content).toString(), path);
    return;
  }
  await files.write(path, file.content, { parents: true });
  const { mode } = await files.stat(path);
  const wanted = file.mode === GIT_EXECUTABLE ? mode | ((mode & 0o444) >> 2) : mode & ~0o111;
  if (wanted !== mode) await files.chmod(path, wanted);
}

/** Lines of both sides, or undefined where they do not go together. */
async function mergeText(sandbox: Sandbox, here: Uint8Array, base: Uint8Array, there: Uint8Array): Promise<Uint8Array | undefined> {
  const { files } = sandbox;
  const place = `/tmp/merge-${randomUUID()}`;
  await files.mkdir(place, { parents: true });
  try {
    for (const [name, content] of Object.entries({ here, base, there })) await files.write(`${place}/${name}`, content);
    // It leaves the merged text in the first; above 0 it counts conflicts, above 127 it is a refusal (binary content).
    const git = await sandbox.exec({ argv: ["/run/guildhall/bin/git", "merge-file", "--quiet", "here", "base", "there"], cwd: place });
    try {
      for await (const _ of git.output); // nothing is said that matters
      return (await git.exit).code === 0 ? await files.read(`${place}/here`) : undefined;
    } finally {
      await git.close();
    }
  } finally {
    await files.remove(place, { recursive: true });
  }
}

function same(a: Version | undefined, b: Version | undefined): boolean {
  return a?.id === b?.id && a?.mode === b?.mode;
}
