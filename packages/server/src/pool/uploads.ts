import {
  type CheckpointStore,
  decodeTree,
  encodeTree,
  GIT_EXECUTABLE,
  GIT_FILE,
  GIT_SYMLINK,
  GIT_TREE,
  gitObjectId,
  type GitObjectKind,
  GuildError,
  sortTree,
  type TreeEntry,
} from "@guildhall/core";
import { UploadedFileKind, type UploadWorkspaceRequest } from "@guildhall/protocol";

/** Name under which uploads are kept among the checkpoint stores: whole files that several share are stored once. */
export const UPLOADS = "uploads";

/** More is a mistake of the caller's: a build's output, a data set. */
const LARGEST = { files: 200_000, bytes: 4 * 2 ** 30, file: 512 * 2 ** 20 };

interface Folder {
  files: Map<string, TreeEntry>;
  folders: Map<string, Folder>;
}

/**
 * Takes in the files of a workspace as a git tree, whose id is the upload's name. Throws `invalid_argument` for a path that leads out of it,
 * into a `.git` or over another file, `resource_exhausted` for too much.
 */
export async function receiveUpload(
  store: CheckpointStore,
  requests: AsyncIterable<UploadWorkspaceRequest>,
): Promise<{ upload: string; files: number; bytes: number }> {
  const root: Folder = { files: new Map(), folders: new Map() };
  const batch = new Batch(store);
  let current: { path: string; mode: number; pieces: Uint8Array[]; size: number } | undefined;
  let files = 0;
  let bytes = 0;
  const finish = async (): Promise<void> => {
    if (current === undefined) return;
    const id = await batch.add("blob", current.pieces.length === 1 ? (current.pieces[0] ?? NOTHING) : Buffer.concat(current.pieces));
    place(root, current.path, { mode: current.mode, id });
  };
  for await (const { part } of requests) {
    if (part.case === "file") {
      await finish();
      current = { path: part.value.path, mode: modes[part.value.kind] ?? GIT_FILE, pieces: [], size: 0 };
      files += 1;
    } else if (part.case === "chunk") {
      if (current === undefined) throw new GuildError("invalid_argument", "bytes of no file", { remedy: "name the file first" });
      current.pieces.push(part.value);
      current.size += part.value.length;
      bytes += part.value.length;
      if (current.size > LARGEST.file) tooMuch(`${current.path} is larger than ${LARGEST.file >> 20} MiB`);
    }
    if (files > LARGEST.files) tooMuch(`more than ${LARGEST.files} files`);
    if (bytes > LARGEST.bytes) tooMuch(`more than ${LARGEST.bytes >> 20} MiB`);
  }
  await finish();
  const upload = await writeFolder(root, batch);
  await batch.flush();
  return { upload, files, bytes };
}

/** Brings an upload into the store of a workspace, where checkpoints build upon it. Throws `not_found`. */
export async function copyUpload(from: CheckpointStore, to: CheckpointStore, upload: string): Promise<void> {
  if (!/^[0-9a-f]{40}$/.test(upload)) throw gone(upload);
  const batch = new Batch(to);
  const copy = async (id: string): Promise<void> => {
    if (await to.has(id)) return;
    const { kind, content } = await from.get(id);
    // What a tree names goes before it: where the tree is, all of it is.
    if (kind === "tree") for (const entry of decodeTree(content)) await copy(entry.id);
    await batch.add(kind, content);
  };
  try {
    await copy(upload);
  } catch (error) {
    throw GuildError.is(error, "not_found") ? gone(upload) : error;
  }
  await batch.flush();
}

const NOTHING = new Uint8Array();

const modes: Partial<Record<UploadedFileKind, number>> = {
  [UploadedFileKind.PROGRAM]: GIT_EXECUTABLE,
  [UploadedFileKind.LINK]: GIT_SYMLINK,
};

/** Objects on their way into a store, some megabytes at a time. */
class Batch {
  readonly #store: CheckpointStore;
  #objects: Array<{ id: string; kind: GitObjectKind; content: Uint8Array }> = [];
  #size = 0;

  constructor(store: CheckpointStore) {
    this.#store = store;
  }

  async add(kind: GitObjectKind, content: Uint8Array): Promise<string> {
    const id = gitObjectId(kind, content);
    this.#objects.push({ id, kind, content });
    this.#size += content.length;
    if (this.#size > 8 << 20 || this.#objects.length >= 1_000) await this.flush();
    return id;
  }

  async flush(): Promise<void> {
    const objects = this.#objects;
    this.#objects = [];
    this.#size = 0;
    if (objects.length > 0) await this.#store.put(objects);
  }
}

async function writeFolder(folder: Folder, batch: Batch): Promise<string> {
  const entries = [...folder.files.values()];
  for (const [name, inner] of folder.folders) entries.push({ name, mode: GIT_TREE, id: await writeFolder(inner, batch) });
  return await batch.add("tree", encodeTree(sortTree(entries)));
}

function place(root: Folder, path: string, file: { mode: number; id: string }): void {
  const parts = path.split("/");
  const name = parts.pop() ?? "";
  const bad = [...parts, name].some((part) => part === "" || part === "." || part === ".." || part.toLowerCase() === ".git");
  if (bad || path.includes("\0")) refuse(path, "no path of a file in a workspace");
  let folder = root;
  for (const part of parts) {
    if (folder.files.has(part)) refuse(path, "a file below another file");
    const inner = folder.folders.get(part) ?? { files: new Map(), folders: new Map() };
    folder.folders.set(part, inner);
    folder = inner;
  }
  if (folder.files.has(name) || folder.folders.has(name)) refuse(path, "named twice");
  folder.files.set(name, { name, ...file });
}

function refuse(path: string, what: string): never {
  throw new GuildError("invalid_argument", `an upload cannot hold this: ${what}`, { subject: path.slice(0, 200), remedy: "leave it out" });
}

function tooMuch(what: string): never {
  throw new GuildError("resource_exhausted", `the upload is too large: ${what}`, {
    remedy: "leave out what is made from the rest (.gitignore), or use --git or a shared directory",
  });
}

function gone(upload: string): GuildError {
  return new GuildError("not_found", "there is no such upload", { subject: upload.slice(0, 50), remedy: "upload the workspace again" });
}
