import { createHash, randomUUID } from "node:crypto";

import { create } from "@bufbuild/protobuf";
import { type BlobSource, type BlobStore, GuildError } from "@guildhall/core";
import { type BlobRef, BlobRefSchema } from "@guildhall/protocol";

import type { Database } from "./database.ts";

/** Size of every piece but a blob's last, bytes. */
const PIECE = 256 << 10;
const ABANDONED_HOURS = 24;

/**
 * Blobs as rows, for orchestrators that share a database and no disk. The pieces are written first, under a name that nobody knows, and named by
 * their digest in one transaction when all of them are there: what is found is whole.
 */
export class DatabaseBlobStore implements BlobStore {
  readonly #database: Database;
  #swept: Promise<void> | undefined;

  constructor(database: Database) {
    this.#database = database;
  }

  async put(source: BlobSource, mediaType: string): Promise<BlobRef> {
    this.#swept ??= this.#sweep();
    await this.#swept;
    if (source instanceof Uint8Array) {
      const digest = digestOf(createHash("sha256").update(source));
      const size = await this.#sizeOf(digest);
      if (size !== undefined) return create(BlobRefSchema, { digest, size: BigInt(size), mediaType });
    }
    const content = randomUUID();
    await this.#database.write({
      text: "INSERT INTO guildhall.blob_upload (content_id, started_at) VALUES ($1, now())",
      values: [content],
    });
    try {
      const { digest, size } = await this.#write(content, source);
      await this.#settle(content, digest, size);
      return create(BlobRefSchema, { digest, size: BigInt(size), mediaType });
    } catch (error) {
      // What cannot be removed now is swept another day.
      await this.#remove([content]).catch(() => undefined);
      throw error;
    }
  }

  async *get(digest: string, range?: { offset: number; length: number }): AsyncGenerator<Uint8Array> {
    if (range !== undefined && (range.offset < 0 || range.length < 0))
      throw new GuildError("invalid_argument", "a range has no negative parts", { subject: digest });
    const found = await this.#find(digest);
    if (found === undefined) throw new GuildError("not_found", `no blob ${digest}`, { subject: digest });
    const hash = range === undefined ? createHash("sha256") : undefined;
    const end = Math.min(found.size, range === undefined ? Infinity : range.offset + range.length);
    let position = range?.offset ?? 0;
    while (position < end) {
      const nth = Math.floor(position / PIECE);
      const [row] = await this.#database.read<{ bytes: Buffer }>({
        name: "guildhall-blob-piece",
        text: "SELECT bytes FROM guildhall.blob_piece WHERE content_id = $1 AND nth = $2",
        values: [found.content, nth],
      });
      const chunk = row?.bytes.subarray(position - nth * PIECE, end - nth * PIECE) ?? Buffer.alloc(0);
      if (chunk.length === 0) throw corrupt(digest);
      position += chunk.length;
      hash?.update(chunk);
      yield chunk;
    }
    if (hash !== undefined && digestOf(hash) !== digest) throw corrupt(digest);
  }

  async has(digest: string): Promise<boolean> {
    return (await this.#sizeOf(digest)) !== undefined;
  }

  async *list(): AsyncGenerator<{ digest: string; size: number }> {
    for (let after = ""; ;) {
      const rows = await this.#database.read<{ digest: string; size: string }>({
        text: "SELECT digest, size FROM guildhall.blob WHERE digest > $1 ORDER BY digest LIMIT 500",
        values: [after],
      });
      for (const { digest, size } of rows) yield { digest: (after = digest), size: Number(size) };
      if (rows.length < 500) return;
    }
  }

  async delete(digest: string): Promise<void> {
    mustBeDigest(digest);
    await this.#database.transaction(async (client) => {
      const { rows } = await client.query<{ content_id: string }>("DELETE FROM guildhall.blob WHERE digest = $1 RETURNING content_id", [
        digest,
      ]);
      const contents = rows.map(({ content_id }) => content_id);
      await client.query("DELETE FROM guildhall.blob_piece WHERE content_id = ANY($1::text[])", [contents]);
    });
  }

  async #write(content: string, source: BlobSource): Promise<{ digest: string; size: number }> {
    const hash = createHash("sha256");
    const piece = Buffer.alloc(PIECE);
    let filled = 0;
    let nth = 0;
    let size = 0;
    const flush = async (): Promise<void> => {
      await this.#database.write({
        name: "guildhall-blob-put",
        text: "INSERT INTO guildhall.blob_piece (content_id, nth, bytes) VALUES ($1, $2, $3)",
        values: [content, nth, piece.subarray(0, filled)],
      });
      nth += 1;
      filled = 0;
    };
    for await (const chunk of source instanceof Uint8Array ? [source] : source) {
      hash.update(chunk);
      size += chunk.length;
      for (let at = 0; at < chunk.length;) {
        const part = chunk.subarray(at, at + PIECE - filled);
        piece.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === PIECE) await flush();
      }
    }
    if (filled > 0) await flush();
    return { digest: digestOf(hash), size };
  }

  /** Names the content; where the name is taken the same content is there already, and this one goes. */
  async #settle(content: string, digest: string, size: number): Promise<void> {
    await this.#database.transaction(async (client) => {
      const { rows } = await client.query(
        "INSERT INTO guildhall.blob (digest, content_id, size) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING digest",
        [digest, content, size],
      );
      if (rows.length === 0) await client.query("DELETE FROM guildhall.blob_piece WHERE content_id = $1", [content]);
      await client.query("DELETE FROM guildhall.blob_upload WHERE content_id = $1", [content]);
    });
  }

  /** Once in a process: removes what writers that died left without a name. */
  async #sweep(): Promise<void> {
    const rows = await this.#database.read<{ content_id: string }>({
      text: `SELECT content_id FROM guildhall.blob_upload WHERE started_at < now() - interval '${ABANDONED_HOURS} hours'`,
    });
    if (rows.length > 0) await this.#remove(rows.map(({ content_id }) => content_id));
  }

  #remove(contents: string[]): Promise<void> {
    return this.#database.transaction(async (client) => {
      await client.query("DELETE FROM guildhall.blob_piece WHERE content_id = ANY($1::text[])", [contents]);
      await client.query("DELETE FROM guildhall.blob_upload WHERE content_id = ANY($1::text[])", [contents]);
    });
  }

  async #sizeOf(digest: string): Promise<number | undefined> {
    return (await this.#find(digest))?.size;
  }

  async #find(digest: string): Promise<{ content: string; size: number } | undefined> {
    mustBeDigest(digest);
    const [row] = await this.#database.read<{ content_id: string; size: string }>({
      name: "guildhall-blob",
      text: "SELECT content_id, size FROM guildhall.blob WHERE digest = $1",
      values: [digest],
    });
    return row === undefined ? undefined : { content: row.content_id, size: Number(row.size) };
  }
}

function digestOf(hash: ReturnType<typeof createHash>): string {
  return `sha256:${hash.digest("hex")}`;
}

function mustBeDigest(digest: string): void {
  if (/^sha256:[0-9a-f]{64}$/.test(digest)) return;
  throw new GuildError("invalid_argument", `not a digest: ${JSON.stringify(digest.slice(0, 100))}`, {
    remedy: "write it as sha256: and 64 hexadecimal digits",
  });
}

function corrupt(digest: string): GuildError {
  return new GuildError("corrupt", "a stored blob is not what it was", {
    subject: digest,
    remedy: "check the database; delete the blob, or restore it from a copy",
  });
}
