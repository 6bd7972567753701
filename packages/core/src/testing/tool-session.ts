import type { Masker } from "../ports/safety.ts";
import type { Sandbox } from "../ports/sandbox.ts";
import type { ToolContext, ToolSession } from "../ports/tool.ts";
import { MemoryBlobStore } from "./blob-store.ts";
import { FakeSandbox } from "./fake-sandbox.ts";
import type { MemoryFiles } from "./tool-files.ts";

/** A tool session over files in memory, for unit tests of tools that start no process. */
export class FakeToolSession implements ToolSession {
  readonly sandbox: Sandbox;
  readonly files: MemoryFiles;
  readonly blobs = new MemoryBlobStore();
  readonly masker?: Masker;
  readonly #values = new Map<string, { close?(): Promise<void> }>();

  constructor(options: { workspace?: string; masker?: Masker } = {}) {
    const sandbox = new FakeSandbox({ id: "files", workspace: options.workspace ?? "/w" });
    this.sandbox = sandbox;
    this.files = sandbox.files;
    if (options.masker !== undefined) this.masker = options.masker;
  }

  get<T extends { close?(): Promise<void> }>(key: string, make: () => T): T {
    const present = this.#values.get(key);
    if (present !== undefined) return present as T;
    const made = make();
    this.#values.set(key, made);
    return made;
  }

  /** A context for one call. */
  context(options: Partial<Pick<ToolContext, "callId" | "signal" | "progress">> = {}): ToolContext {
    return { session: this, callId: "call_1", signal: new AbortController().signal, progress: () => undefined, ...options };
  }
}
