import { createHash } from "node:crypto";

import { create } from "@bufbuild/protobuf";
import { type BlobRef, BlobRefSchema } from "@guildhall/protocol";

import { GuildError } from "../errors.ts";
import type { BlobSource, BlobStore } from "../ports/blob-store.ts";

/** The blob store in memory: for tests and simulations. */
export class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<string, Uint8Array>();

  async put(source: BlobSource, mediaType: string): Promise<BlobRef> {
    const chunks: Uint8Array[] = [];
    if (source instanceof Uint8Array) chunks.push(source);
    else for await (const chunk of source) chunks.push(Uint8Array.from(chunk));
    const bytes = Uint8Array.from(Buffer.concat(chunks));
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    if (!this.#blobs.has(digest)) this.#blobs.set(digest, bytes);
    return create(BlobRefSchema, { digest, size: BigInt(bytes.length), mediaType });
  }

  async *get(digest: string, range?: { offset: number; length: number }): AsyncGenerator<Uint8Array> {
    const bytes = this.#blobs.get(checked(digest));
    if (bytes === undefined) throw new GuildError("not_found", `no blob ${digest}`, { subject: digest });
    if (range !== undefined && (range.offset < 0 || range.length < 0)) {
      throw new GuildError("invalid_argument", "a range has no negative parts", { subject: digest });
    }
    const part = range === undefined ? bytes.slice() : bytes.slice(range.offset, range.offset + range.length);
    if (part.length > 0) yield part;
  }

  async has(digest: string): Promise<boolean> {
    return this.#blobs.has(checked(digest));
  }

  async *list(): AsyncGenerator<{ digest: string; size: number }> {
    for (const [digest, bytes] of this.#blobs) yield { digest, size: bytes.length };
  }

  async delete(digest: string): Promise<void> {
    this.#blobs.delete(checked(digest));
  }
}

function checked(digest: string): string {
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) {
    throw new GuildError("invalid_argument", `not a digest: ${JSON.stringify(digest)}`, {
      remedy: "write it as sha256: and 64 hexadecimal digits",
    });
  }
  return digest;
}
