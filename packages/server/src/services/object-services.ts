import type { ServiceImpl } from "@connectrpc/connect";
import { type BlobStore, type CheckpointStore, type GitObjectKind, GuildError } from "@guildhall/core";
import type { BlobService, CheckpointService, GitObject } from "@guildhall/protocol/internal";

/** Largest piece of content in one message, bytes. */
export const PIECE = 1 << 20;

/** Blobs for processes without the disk: `remoteBlobs` is the other end. */
export function blobService(blobs: BlobStore): ServiceImpl<typeof BlobService> {
  return {
    async putBlob(requests) {
      const iterator = requests[Symbol.asyncIterator]();
      const first = await iterator.next();
      if (first.done === true) throw new GuildError("invalid_argument", "the request holds nothing");
      const chunks = async function* (): AsyncIterable<Uint8Array> {
        let whole = first.value.last;
        yield first.value.chunk;
        for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
          yield next.value.chunk;
          whole ||= next.value.last;
        }
        if (!whole) throw cutOff();
      };
      return { ref: await blobs.put(chunks(), first.value.mediaType) };
    },
    async *getBlob({ digest, offset, length }) {
      const range = offset === undefined || length === undefined ? undefined : { offset: Number(offset), length: Number(length) };
      for await (const chunk of blobs.get(digest, range)) yield { chunk };
    },
    hasBlob: async ({ digest }) => ({ there: await blobs.has(digest) }),
    async *listBlobs() {
      for await (const { digest, size } of blobs.list()) yield { digest, size: BigInt(size) };
    },
    async deleteBlob({ digest }) {
      await blobs.delete(digest);
      return {};
    },
  };
}

/** Checkpoints for processes without the disk: `remoteCheckpoints` is the other end. */
export function checkpointService(open: (workspace: string) => Promise<CheckpointStore>): ServiceImpl<typeof CheckpointService> {
  return {
    async hasObjects({ workspace, ids }) {
      const store = await open(workspace);
      return { there: await Promise.all(ids.map((id) => store.has(id))) };
    },
    async putObjects(requests) {
      const objects: Array<{ id: string; kind: GitObjectKind; content: Uint8Array }> = [];
      let workspace: string | undefined;
      let pieces: Uint8Array[] = [];
      let size = 0;
      let whole = false;
      for await (const request of requests) {
        workspace ??= request.workspace;
        whole ||= request.last;
        for (const object of request.objects) {
          pieces.push(object.content);
          size += object.content.length;
          if (size > largestPut) throw new GuildError("resource_exhausted", "more than one call may store", { remedy: "split it" });
          if (object.more) continue;
          objects.push({ id: object.id, kind: kindOf(object), content: pieces.length === 1 ? object.content : Buffer.concat(pieces) });
          pieces = [];
        }
      }
      if (!whole) throw cutOff();
      const { storedBytes } = await (await open(workspace ?? "")).put(objects);
      return { storedBytes: BigInt(storedBytes) };
    },
    async *getObject({ workspace, id }) {
      const { kind, content } = await (await open(workspace)).get(id);
      yield { kind, chunk: content.subarray(0, PIECE) };
      for (let from = PIECE; from < content.length; from += PIECE) yield { chunk: content.subarray(from, from + PIECE) };
    },
    async collectObjects({ workspace, roots }) {
      const { objects, bytes } = await (await open(workspace)).collect(roots);
      return { objects: BigInt(objects), bytes: BigInt(bytes) };
    },
  };
}

/** Of one call, bytes: it is held in memory until it is whole. */
const largestPut = 256 << 20;

function cutOff(): GuildError {
  return new GuildError("cancelled", "the content ended before it was whole");
}

function kindOf({ kind, id }: GitObject): GitObjectKind {
  if (kind === "blob" || kind === "tree") return kind;
  throw new GuildError("invalid_argument", `a checkpoint holds no ${kind}`, { subject: id });
}
