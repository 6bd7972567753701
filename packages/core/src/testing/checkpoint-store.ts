import { GuildError } from "../errors.ts";
import { gitObjectId, reachableObjects } from "../git-object.ts";
import type { CheckpointStore, GitObjectKind } from "../ports/checkpoint.ts";

/** The checkpoint store in memory: for tests and simulations. Without a period of grace. */
export class MemoryCheckpointStore implements CheckpointStore {
  readonly #objects = new Map<string, { kind: GitObjectKind; content: Uint8Array }>();

  async has(id: string): Promise<boolean> {
    return this.#objects.has(id);
  }

  async put(objects: Array<{ id: string; kind: GitObjectKind; content: Uint8Array }>): Promise<{ storedBytes: number }> {
    let storedBytes = 0;
    for (const { id, kind, content } of objects) {
      if (this.#objects.has(id)) continue;
      this.#objects.set(id, { kind, content: content.slice() });
      storedBytes += content.length;
    }
    return { storedBytes };
  }

  async get(id: string): Promise<{ kind: GitObjectKind; content: Uint8Array }> {
    const object = this.#objects.get(id);
    if (object === undefined) {
      throw new GuildError("not_found", `the checkpoint store has no object ${id}`, { subject: id });
    }
    if (gitObjectId(object.kind, object.content) !== id) {
      throw new GuildError("corrupt", `an object of the checkpoint store is not what it should be: ${id}`, { subject: id });
    }
    return { kind: object.kind, content: object.content.slice() };
  }

  async collect(roots: Iterable<string>): Promise<{ objects: number; bytes: number }> {
    const kept = await reachableObjects(roots, async (id) => this.#objects.get(id)?.content);
    const freed = { objects: 0, bytes: 0 };
    for (const [id, { content }] of this.#objects) {
      if (kept.has(id)) continue;
      this.#objects.delete(id);
      freed.objects++;
      freed.bytes += content.length;
    }
    return freed;
  }

  async close(): Promise<void> {
    this.#objects.clear();
  }
}
