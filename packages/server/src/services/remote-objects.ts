import { createClient, type Transport } from "@connectrpc/connect";
import { type BlobSource, type BlobStore, type CheckpointStore, GuildError } from "@guildhall/core";
import { BlobService, CheckpointService } from "@guildhall/protocol/internal";

import { fromStatus } from "../rpc/from-status.ts";
import { PIECE } from "./object-services.ts";
import { patiently } from "./patiently.ts";

const unary = { timeoutMs: 60_000 };

/** An object that was there is believed to be there for so long: a collection in between spares what a session's log names. */
const believedMs = 15_000;

/** The blob store of another process. */
export function remoteBlobs(transport: Transport, peer: string): BlobStore {
  const client = createClient(BlobService, transport);
  const put = async (source: BlobSource, mediaType: string): ReturnType<BlobStore["put"]> => {
    const pump = pumped(source, mediaType);
    const { ref } = await client.putBlob(pump.requests).catch((error: unknown) => {
      // What went wrong while the content was made says more than the broken call that follows from it.
      throw pump.failure() ?? fromStatus(error, peer);
    });
    if (ref === undefined) throw new GuildError("internal", "the answer names no blob");
    return ref;
  };
  return {
    // A stream can be read once.
    put: (source, mediaType) => (source instanceof Uint8Array ? patiently(() => put(source, mediaType)) : put(source, mediaType)),
    async *get(digest, range) {
      const part = range === undefined ? {} : { offset: BigInt(range.offset), length: BigInt(range.length) };
      yield* translated(client.getBlob({ digest, ...part }), peer, ({ chunk }) => chunk);
    },
    has: async (digest) => (await asked(() => client.hasBlob({ digest }, unary), peer)).there,
    async *list() {
      yield* translated(client.listBlobs({}), peer, ({ digest, size }) => ({ digest, size: Number(size) }));
    },
    async delete(digest) {
      await asked(() => client.deleteBlob({ digest }, unary), peer);
    },
  };
}

/** The store of a workspace's checkpoints that another process keeps. */
export function remoteCheckpoints(transport: Transport, peer: string, workspace: string): CheckpointStore {
  const client = createClient(CheckpointService, transport);
  // A workspace that stays as it is asks for the same tree at every step.
  let last = { id: "", until: 0 };
  return {
    async has(id) {
      if (id === last.id && performance.now() < last.until) return true;
      const { there } = await asked(() => client.hasObjects({ workspace, ids: [id] }, unary), peer);
      if (there[0] === true) last = { id, until: performance.now() + believedMs };
      return there[0] === true;
    },
    async put(objects) {
      const requests = async function* () {
        yield { workspace, objects: [] };
        let batch = [];
        let size = 0;
        for (const { id, kind, content } of objects) {
          for (let from = 0; from === 0 || from < content.length; from += PIECE) {
            const piece = content.subarray(from, from + PIECE);
            batch.push({ id, kind, content: piece, more: from + PIECE < content.length });
            size += piece.length + 100;
            if (size < PIECE) continue;
            yield { workspace: "", objects: batch };
            batch = [];
            size = 0;
          }
        }
        yield { workspace: "", objects: batch, last: true };
      };
      const { storedBytes } = await asked(() => client.putObjects(requests()), peer);
      return { storedBytes: Number(storedBytes) };
    },
    get: (id) =>
      patiently(async () => {
        const chunks: Uint8Array[] = [];
        let kind = "";
        for await (const part of translated(client.getObject({ workspace, id }), peer, (response) => response)) {
          if (part.kind !== "") kind = part.kind;
          chunks.push(part.chunk);
        }
        return { kind: kind === "tree" ? "tree" : "blob", content: Buffer.concat(chunks) };
      }),
    async collect(roots) {
      const named = [...roots];
      const { objects, bytes } = await asked(() => client.collectObjects({ workspace, roots: named }), peer);
      return { objects: Number(objects), bytes: Number(bytes) };
    },
  };
}

function pumped(
  source: BlobSource,
  mediaType: string,
): { requests: AsyncIterable<{ mediaType: string; chunk: Uint8Array; last?: boolean }>; failure(): Error | undefined } {
  let failed: Error | undefined;
  const requests = async function* () {
    yield { mediaType, chunk: new Uint8Array() };
    try {
      for await (const bytes of source instanceof Uint8Array ? [source] : source) {
        // The caller may reuse its buffer as soon as it is asked for the next chunk.
        for (let from = 0; from < bytes.length; from += PIECE) yield { mediaType: "", chunk: bytes.slice(from, from + PIECE) };
      }
    } catch (error) {
      failed = error instanceof Error ? error : GuildError.from(error);
      throw error;
    }
    yield { mediaType: "", chunk: new Uint8Array(), last: true };
  };
  return { requests: requests(), failure: () => failed };
}

/** Nothing that is asked here does harm when it is asked twice. */
function asked<T>(call: () => Promise<T>, peer: string): Promise<T> {
  return patiently(() =>
    call().catch((error: unknown) => {
      throw fromStatus(error, peer);
    }),
  );
}

async function* translated<T, U>(stream: AsyncIterable<T>, peer: string, map: (item: T) => U): AsyncGenerator<U> {
  try {
    for await (const item of stream) yield map(item);
  } catch (error) {
    throw fromStatus(error, peer);
  }
}
