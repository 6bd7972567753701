import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";

import { type EmbeddingModel, GuildError } from "@guildhall/core";

/** What stands beside the vectors of a saved index. */
export interface SavedIndex {
  format: 1;
  kind: string;
  model: EmbeddingModel;
  /** Ids in the order, or with the labels, that the data file uses. */
  ids: string[];
  labels?: string[];
  /** Lists that a search of an inverted index looks into; 0: it is exact. */
  probes?: number;
  /** Name of the data file in the same directory. */
  data: string;
}

const META = "index.json";

/** Undefined where nothing was saved. Throws `failed_precondition` for vectors of another model, `corrupt` for a damaged description. */
export async function readSaved(directory: string, kind: string, model: EmbeddingModel): Promise<SavedIndex | undefined> {
  let text: string;
  try {
    text = await readFile(join(directory, META), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  let saved: SavedIndex;
  try {
    saved = JSON.parse(text) as SavedIndex;
  } catch (error) {
    throw new GuildError("corrupt", "the saved index cannot be read", {
      subject: directory,
      remedy: "delete it: it is filled again from the log",
      cause: error,
    });
  }
  if (saved.kind !== kind || saved.model.id !== model.id || saved.model.dimension !== model.dimension) {
    const found = `${saved.kind} of ${saved.model.id} (${saved.model.dimension})`;
    throw new GuildError("failed_precondition", `the saved index is ${found}, not ${kind} of ${model.id} (${model.dimension})`, {
      subject: directory,
      remedy: "embed again",
    });
  }
  return saved;
}

/** Writes data, then the description that names it: a crash in between leaves the former index whole. */
export async function writeSaved(
  directory: string,
  saved: Omit<SavedIndex, "format" | "data">,
  writeData: (path: string) => Promise<void>,
): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const data = `vectors-${randomBytes(6).toString("hex")}`;
  await writeData(join(directory, data));
  const temporary = join(directory, `${META}.${randomBytes(6).toString("hex")}`);
  const handle = await open(temporary, "wx", 0o600);
  try {
    await handle.writeFile(JSON.stringify({ format: 1, ...saved, data } satisfies SavedIndex));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, join(directory, META));
  for (const name of await readdir(directory))
    if (name.startsWith("vectors-") && name !== data) await rm(join(directory, name), { force: true });
}

/** Throws `failed_precondition` for a vector that is not of the model's dimension. */
export function checkDimension(model: EmbeddingModel, vectors: Iterable<Float32Array>): void {
  for (const vector of vectors) {
    if (vector.length === model.dimension) continue;
    throw new GuildError("failed_precondition", `a vector of ${vector.length} numbers in an index of ${model.dimension}`, {
      subject: model.id,
      remedy: "embed it with the index's model",
    });
  }
}
