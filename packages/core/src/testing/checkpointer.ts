import { bytesToPath, pathToBytes } from "../byte-path.ts";
import { decodeTree, encodeTree, GIT_EXECUTABLE, GIT_FILE, GIT_SYMLINK, GIT_TREE, gitObjectId, sortTree } from "../git-object.ts";
import type { Checkpoint, Checkpointer, CheckpointStore, GitObjectKind, TreeChange } from "../ports/checkpoint.ts";
import type { SandboxFiles } from "../ports/sandbox.ts";

/**
 * The plain way to make checkpoints: reads every file each time, knows no ignore rules and leaves out only `.git`. For tests and simulations, and
 * to compare others with.
 */
export class PlainCheckpointer implements Checkpointer {
  readonly #files: SandboxFiles;
  readonly #store: CheckpointStore;
  #last = new Map<string, PlainFile>();

  constructor(files: SandboxFiles, store: CheckpointStore) {
    this.#files = files;
    this.#store = store;
  }

  async capture(): Promise<Checkpoint> {
    const files = await this.#readAll();
    let storedBytes = 0;
    const put = async (kind: GitObjectKind, content: Uint8Array): Promise<string> => {
      const id = gitObjectId(kind, content);
      storedBytes += (await this.#store.put([{ id, kind, content }])).storedBytes;
      return id;
    };
    for (const { content } of files.values()) await put("blob", content);
    const tree = await putTree("", files, put);
    const changedFiles = changes(this.#last, files).length;
    this.#last = files;
    return { tree, changedFiles, storedBytes, omitted: "" };
  }

  async restore(tree: string): Promise<TreeChange[]> {
    const present = await this.#readAll();
    const wanted = await this.#readTree(tree);
    const differing = changes(present, wanted);
    for (const { path, change } of differing) {
      if (change === "added") continue;
      await this.#files.remove(path);
      for (let at = directoryOf(path); at !== "" && (await this.#files.list(at)).length === 0; at = directoryOf(at)) {
        await this.#files.remove(at);
      }
    }
    for (const { path } of differing) {
      const file = wanted.get(path);
      if (file === undefined) continue;
      if (directoryOf(path) !== "") await this.#files.mkdir(directoryOf(path), { parents: true });
      if (file.mode === GIT_SYMLINK) await this.#files.symlink(bytesToPath(file.content), path);
      else await this.#files.write(path, file.content, { mode: file.mode === GIT_EXECUTABLE ? 0o755 : 0o644 });
    }
    return differing;
  }

  async diff(from: string, to: string): Promise<TreeChange[]> {
    return changes(await this.#readTree(from), await this.#readTree(to));
  }

  async close(): Promise<void> {
    this.#last.clear();
  }

  async #readAll(): Promise<Map<string, PlainFile>> {
    const files = new Map<string, PlainFile>();
    const found: Array<{ path: string; kind: string; mode: number }> = [];
    for await (const batch of this.#files.walk(".", { skip: [".git"] })) {
      for (const { path, stat } of batch) found.push({ path, kind: stat.kind, mode: stat.mode });
    }
    for (const { path, kind, mode } of found) {
      if (path.split("/").includes(".git")) continue;
      if (kind === "symlink") files.set(path, { mode: GIT_SYMLINK, content: pathToBytes(await this.#files.readlink(path)) });
      else if (kind === "file") {
        files.set(path, { mode: (mode & 0o100) === 0 ? GIT_FILE : GIT_EXECUTABLE, content: await this.#files.read(path) });
      }
    }
    return files;
  }

  async #readTree(tree: string, directory = ""): Promise<Map<string, PlainFile>> {
    const files = new Map<string, PlainFile>();
    for (const { name, mode, id } of decodeTree((await this.#store.get(tree)).content)) {
      const path = directory === "" ? name : `${directory}/${name}`;
      if (mode !== GIT_TREE) files.set(path, { mode, content: (await this.#store.get(id)).content });
      else for (const [below, file] of await this.#readTree(id, path)) files.set(below, file);
    }
    return files;
  }
}

interface PlainFile {
  mode: number;
  content: Uint8Array;
}

async function putTree(
  directory: string,
  files: Map<string, PlainFile>,
  put: (kind: GitObjectKind, content: Uint8Array) => Promise<string>,
): Promise<string> {
  const names = new Map<string, { mode: number; id: string }>();
  const prefix = directory === "" ? "" : `${directory}/`;
  for (const [path, { mode, content }] of files) {
    if (!path.startsWith(prefix)) continue;
    const [name = "", ...below] = path.slice(prefix.length).split("/");
    if (below.length === 0) names.set(name, { mode, id: gitObjectId("blob", content) });
    else if (!names.has(name)) names.set(name, { mode: GIT_TREE, id: await putTree(prefix + name, files, put) });
  }
  return put("tree", encodeTree(sortTree([...names].map(([name, entry]) => ({ name, ...entry })))));
}

function changes(from: Map<string, PlainFile>, to: Map<string, PlainFile>): TreeChange[] {
  const found: TreeChange[] = [];
  for (const path of new Set([...from.keys(), ...to.keys()])) {
    const before = from.get(path);
    const after = to.get(path);
    if (before !== undefined && after !== undefined) {
      if (before.mode === after.mode && Buffer.compare(before.content, after.content) === 0) continue;
      found.push({ path, change: "modified" });
    } else found.push({ path, change: before === undefined ? "added" : "deleted" });
  }
  return found.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

function directoryOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
