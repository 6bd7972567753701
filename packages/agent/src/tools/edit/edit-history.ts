import { createHash } from "node:crypto";

/** A file before one edit. */
export interface FormerFile {
  /** Content and permission bits; undefined: it was not there. */
  before: { bytes: Uint8Array; mode: number } | undefined;
  /** Digest of what the edit wrote: what must still be there for an undo to lose nothing. */
  after: string;
  /** Directories made for it, outermost first. */
  madeDirectories: string[];
  /** What was done: `str_replace`. */
  command: string;
}

/** Former contents kept for undo, at most, over all files; the oldest go first. */
const KEPT_BYTES = 64 * 1024 * 1024;

/** What a session's editor remembers: former contents for undo, and the content of each file that the agent saw last. Files by real path. */
export class EditHistory {
  readonly #stacks = new Map<string, FormerFile[]>();
  readonly #order: string[] = [];
  readonly #seen = new Map<string, string>();
  #bytes = 0;
  #queue: Promise<unknown> = Promise.resolve();

  /** Runs edits one after another: two names may lead to one file. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(work, work);
    // The caller hears of a failure; the next edit does not depend on it.
    this.#queue = run.catch(() => undefined);
    return run;
  }

  push(path: string, former: FormerFile): void {
    const stack = this.#stacks.get(path) ?? [];
    stack.push(former);
    this.#stacks.set(path, stack);
    this.#order.push(path);
    this.#bytes += former.before?.bytes.length ?? 0;
    while (this.#bytes > KEPT_BYTES && this.#order.length > 1) this.#forgetOldest();
  }

  last(path: string): FormerFile | undefined {
    return this.#stacks.get(path)?.at(-1);
  }

  pop(path: string): void {
    const former = this.#stacks.get(path)?.pop();
    if (former === undefined) return;
    this.#bytes -= former.before?.bytes.length ?? 0;
    this.#order.splice(this.#order.lastIndexOf(path), 1);
  }

  depth(path: string): number {
    return this.#stacks.get(path)?.length ?? 0;
  }

  saw(path: string, digest: string | undefined): void {
    if (digest === undefined) this.#seen.delete(path);
    else this.#seen.set(path, digest);
  }

  /** Digest of the content that the agent saw last; undefined: never saw it. */
  seen(path: string): string | undefined {
    return this.#seen.get(path);
  }

  async close(): Promise<void> {
    this.#stacks.clear();
    this.#seen.clear();
  }

  #forgetOldest(): void {
    const path = this.#order.shift();
    const former = path === undefined ? undefined : this.#stacks.get(path)?.shift();
    this.#bytes -= former?.before?.bytes.length ?? 0;
  }
}

export function contentDigest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64");
}
