import { bytesToPath, GuildError } from "@guildhall/core";

/**
 * Paths that a repository's index (versions 2 to 4) tracks, as gitformat-index describes it. Throws `unsupported` for other formats and
 * `corrupt` for what ends too early.
 */
export function* trackedPaths(index: Uint8Array): Generator<string> {
  for (const { path } of indexEntries(index)) yield path;
}

/** Of those, the ones at which another repository is said to lie. */
export function* linkedPaths(index: Uint8Array): Generator<string> {
  for (const { path, mode } of indexEntries(index)) if (mode >> 12 === GITLINK) yield path;
}

const GITLINK = 0o16;

function* indexEntries(index: Uint8Array): Generator<{ path: string; mode: number }> {
  const bytes = Buffer.from(index.buffer, index.byteOffset, index.byteLength);
  const version = bytes.length < 12 ? 0 : bytes.readUInt32BE(4);
  if (bytes.toString("latin1", 0, 4) !== "DIRC" || version < 2 || version > 4) {
    throw new GuildError("unsupported", `the git index has a format that is not known (version ${version})`);
  }
  let previous: Buffer = Buffer.alloc(0);
  let at = 12;
  for (let left = bytes.readUInt32BE(8); left > 0; left--) {
    if (at + FIXED > bytes.length) throw cutShort();
    const extended = version >= 3 && (bytes.readUInt16BE(at + FIXED - 2) & 0x4000) !== 0;
    let nameAt = at + FIXED + (extended ? 2 : 0);
    let kept: Buffer = Buffer.alloc(0);
    if (version === 4) {
      const dropped = readOffset(bytes, nameAt);
      kept = previous.subarray(0, previous.length - dropped.value);
      nameAt = dropped.end;
    }
    const end = bytes.indexOf(0, nameAt);
    if (end < 0) throw cutShort();
    const name = Buffer.concat([kept, bytes.subarray(nameAt, end)]);
    previous = name;
    yield { path: bytesToPath(name), mode: bytes.readUInt32BE(at + MODE) };
    // Up to version 3 entries are filled with one to eight zeros, to a multiple of eight.
    at = version === 4 ? end + 1 : at + Math.floor((end - at + 8) / 8) * 8;
  }
}

/** Length of an entry up to its name: times, device, inode, mode, owner, size, id and flags. */
const FIXED = 62;
const MODE = 24;

/** The number format of pack offsets: seven bits a byte, plus one at each continuation. */
function readOffset(bytes: Buffer, from: number): { value: number; end: number } {
  let at = from;
  let byte = bytes[at++] ?? 0;
  let value = byte & 0x7f;
  while (byte & 0x80 && at < bytes.length) {
    byte = bytes[at++] ?? 0;
    value = (value + 1) * 128 + (byte & 0x7f);
  }
  return { value, end: at };
}

function cutShort(): GuildError {
  return new GuildError("corrupt", "the git index ends in the middle of an entry");
}
