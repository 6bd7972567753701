/**
 * File names as text without loss. A name in Linux is bytes; where they are not UTF-8, each byte that does not decode is carried as the
 * lone surrogate U+DC80…U+DCFF (0xDC00 + byte), which no valid text contains: the convention of PEP 383.
 */
export function bytesToPath(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  if (!text.includes(REPLACEMENT)) return text;
  let path = "";
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    path += length === 0 ? String.fromCharCode(0xdc00 + (bytes[at] ?? 0)) : strict.decode(bytes.subarray(at, at + length));
    at += Math.max(1, length);
  }
  return path;
}

/** The inverse of `bytesToPath`. */
export function pathToBytes(path: string): Buffer {
  if (path.isWellFormed()) return Buffer.from(path, "utf8");
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = 0; at < path.length; at++) {
    const unit = path.charCodeAt(at);
    if (unit >= 0xd800 && unit < 0xdc00 && at + 1 < path.length) {
      const low = path.charCodeAt(at + 1);
      if (low >= 0xdc00 && low < 0xe000) at++;
      continue;
    }
    if (unit < 0xdc80 || unit > 0xdcff) continue;
    parts.push(Buffer.from(path.slice(from, at), "utf8"), Buffer.of(unit - 0xdc00));
    from = at + 1;
  }
  parts.push(Buffer.from(path.slice(from), "utf8"));
  return Buffer.concat(parts);
}

const REPLACEMENT = "\ufffd";
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Length of the valid UTF-8 sequence that begins at `at`; 0 when there is none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  try {
    strict.decode(bytes.subarray(at, at + length));
    return length;
  } catch {
    return 0;
  }
}
