import { promisify } from "node:util";
import { deflate, deflateSync, inflate, inflateSync } from "node:zlib";

import { GuildError, type GitObjectKind } from "@guildhall/core";

/** An object as it stands in a pack: type and size, then its deflated content (gitformat-pack: "Object header"). */
export interface PackEntry {
  id: string;
  bytes: Buffer;
}

/** Deflates at level 1: snapshots are written in a step's hot path. Large contents are deflated off the main thread. */
export async function packEntry(id: string, kind: GitObjectKind, content: Uint8Array): Promise<PackEntry> {
  const deflated =
    content.length <= DEFLATE_INLINE ? deflateSync(content, smallDeflate(content.length)) : await deflateAsync(content, { level: 1 });
  return { id, bytes: Buffer.concat([entryHead(kind, content.length), deflated]) };
}

/**
 * Reads the entry that begins at `bytes[0]`; what follows it is not looked at. Returns the number of bytes that may be needed instead when
 * `bytes` may end before the entry does.
 */
export async function unpackEntry(bytes: Buffer): Promise<{ kind: GitObjectKind; content: Buffer } | { needed: number }> {
  let at = 0;
  let byte = bytes[at++] ?? 0;
  const kind = kinds[(byte >> 4) & 7];
  let size = byte & 15;
  for (let scale = 16; byte & 0x80; scale *= 128) {
    byte = bytes[at++] ?? 0;
    size += (byte & 0x7f) * scale;
  }
  if (kind === undefined) throw new GuildError("corrupt", "an object of the checkpoint store has an unknown kind");
  // zlib's bound for what does not compress.
  const needed = at + size + Math.ceil(size / 1000) + 64;
  const deflated = bytes.subarray(at);
  try {
    const content = size <= INFLATE_INLINE ? inflateSync(deflated) : await inflateAsync(deflated);
    if (content.length === size) return { kind, content };
  } catch (cause) {
    if (bytes.length >= needed) throw new GuildError("corrupt", "an object of the checkpoint store cannot be unpacked", { cause });
  }
  if (bytes.length >= needed) throw new GuildError("corrupt", "an object of the checkpoint store has the wrong size");
  return { needed };
}

const deflateAsync = promisify<Uint8Array, { level: number }, Buffer>(deflate);
const inflateAsync = promisify<Uint8Array, Buffer>(inflate);

/** Buffers of the content's size: the usual quarter of a megabyte a call would keep the garbage collector busy. */
function smallDeflate(size: number): { level: number; windowBits: number; memLevel: number; chunkSize: number } {
  const windowBits = Math.min(15, Math.max(9, 32 - Math.clz32(size)));
  return { level: 1, windowBits, memLevel: Math.max(1, windowBits - 8), chunkSize: Math.max(256, size + 64) };
}

const DEFLATE_INLINE = 32 * 1024;
const INFLATE_INLINE = 256 * 1024;

const kinds: Array<GitObjectKind | undefined> = [undefined, undefined, "tree", "blob"];

function entryHead(kind: GitObjectKind, size: number): Buffer {
  const head: number[] = [];
  let rest = Math.floor(size / 16);
  let byte = (kind === "tree" ? 2 : 3) * 16 + (size % 16);
  while (rest > 0) {
    head.push(byte | 0x80);
    byte = rest % 128;
    rest = Math.floor(rest / 128);
  }
  head.push(byte);
  return Buffer.from(head);
}
