import type { Embedder, VectorIndex } from "@guildhall/core";

import { HybridIndex } from "../retrieval/hybrid-index.ts";
import { chunkByForm, type Chunker, type FileChunk } from "./chunk-file.ts";

/** A file of the project as it is now. */
export interface ProjectFile {
  /** Relative to the project, with forward slashes. */
  path: string;
  /** Changes when the content does: a blob id of git, a hash. */
  digest: string;
  /** Called only when the digest is new. */
  read(): Promise<string>;
}

export interface FoundCode extends FileChunk {
  path: string;
  score: number;
}

export interface ProjectIndexOptions {
  /** Without the two, search is lexical. */
  embedder?: Embedder;
  vectors?: VectorIndex;
  /** Default: by the form of the lines. */
  chunk?: Chunker;
  /** Characters; larger files are generated or data, and left out. Default 400,000. */
  largest?: number;
}

/** What an update found. */
export interface ProjectUpdate {
  read: number;
  unchanged: number;
  removed: number;
  /** Too large, or not text. */
  passedOver: string[];
}

/** Search over a repository's functions and sections, with path and documentation; kept up to date by file digest. */
export class ProjectIndex {
  readonly #index: HybridIndex;
  readonly #chunk: Chunker;
  readonly #largest: number;
  readonly #files = new Map<string, { digest: string; ids: string[] }>();
  readonly #chunks = new Map<string, FileChunk & { path: string }>();

  constructor(options: ProjectIndexOptions = {}) {
    const { embedder, vectors } = options;
    this.#index = new HybridIndex({ profile: "code", ...(embedder === undefined || vectors === undefined ? {} : { embedder, vectors }) });
    this.#chunk = options.chunk ?? chunkByForm;
    this.#largest = options.largest ?? 400_000;
  }

  get size(): number {
    return this.#index.size;
  }

  /** Pieces that are not found by meaning yet. */
  get lag(): number {
    return this.#index.lag;
  }

  /** Makes the index that of exactly these files: reads what is new or changed, forgets what is gone. A file that cannot be read rejects. */
  async update(files: AsyncIterable<ProjectFile> | Iterable<ProjectFile>): Promise<ProjectUpdate> {
    const report: ProjectUpdate = { read: 0, unchanged: 0, removed: 0, passedOver: [] };
    const there = new Set<string>();
    for await (const file of files) {
      there.add(file.path);
      if (this.#files.get(file.path)?.digest === file.digest) {
        report.unchanged += 1;
        continue;
      }
      const text = await file.read();
      report.read += 1;
      const usable = text.length <= this.#largest && !text.includes("\0");
      if (!usable) report.passedOver.push(file.path);
      await this.#replace(file, usable ? this.#chunk(file.path, text) : []);
    }
    const gone = [...this.#files.keys()].filter((path) => !there.has(path));
    for (const path of gone) await this.#forget(path);
    report.removed = gone.length;
    return report;
  }

  async settled(): Promise<void> {
    await this.#index.settled();
  }

  /** Best first. */
  async search(query: string, limit: number, signal?: AbortSignal): Promise<{ found: FoundCode[]; degraded?: string }> {
    const { hits, degraded } = await this.#index.search(query, { limit, ...(signal === undefined ? {} : { signal }) });
    const found = hits.flatMap(({ id, score }) => {
      const chunk = this.#chunks.get(id);
      return chunk === undefined ? [] : [{ ...chunk, score }];
    });
    return degraded === undefined ? { found } : { found, degraded };
  }

  async #replace(file: ProjectFile, chunks: readonly FileChunk[]): Promise<void> {
    await this.#forget(file.path);
    const ids = chunks.map((_, at) => `${file.path}#${at}`);
    this.#files.set(file.path, { digest: file.digest, ids });
    for (const [at, chunk] of chunks.entries()) this.#chunks.set(ids[at] ?? "", { ...chunk, path: file.path });
    this.#index.add(chunks.map((chunk, at) => ({ id: ids[at] ?? "", text: chunk.text, title: `${file.path} ${chunk.name}` })));
  }

  async #forget(path: string): Promise<void> {
    const known = this.#files.get(path);
    if (known === undefined) return;
    this.#files.delete(path);
    for (const id of known.ids) this.#chunks.delete(id);
    await this.#index.remove(known.ids);
  }
}
