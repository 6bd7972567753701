import { GuildError } from "@guildhall/core";

export type TextEncoding = "utf-8" | "utf-16le" | "utf-16be" | "latin-1";

/** A file's text with what is needed to write it back byte for byte. `text` never holds the byte-order mark. */
export interface TextDocument {
  text: string;
  encoding: TextEncoding;
  bom: boolean;
}

/**
 * Reads text such that `encodeText(decodeText(bytes))` is `bytes` again. UTF-16 is known by its mark or by the pattern of its zero bytes;
 * what is neither that nor valid UTF-8 is read as Latin-1, which loses nothing. Undefined: binary.
 */
export function decodeText(bytes: Uint8Array): TextDocument | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (startsWith(buffer, 0xff, 0xfe, 0, 0) || startsWith(buffer, 0, 0, 0xfe, 0xff)) return undefined; // UTF-32
  if (startsWith(buffer, 0xff, 0xfe)) return decodeUtf16(buffer.subarray(2), "utf-16le", true);
  if (startsWith(buffer, 0xfe, 0xff)) return decodeUtf16(buffer.subarray(2), "utf-16be", true);
  if (startsWith(buffer, 0xef, 0xbb, 0xbf)) {
    const text = decodeUtf8(buffer.subarray(3));
    if (text !== undefined && !text.includes("\0")) return { text, encoding: "utf-8", bom: true };
  }
  if (buffer.includes(0)) {
    const encoding = unmarkedUtf16(buffer);
    return encoding === undefined ? undefined : decodeUtf16(buffer, encoding, false);
  }
  const text = decodeUtf8(buffer);
  if (text !== undefined) return { text, encoding: "utf-8", bom: false };
  return looksBinary(buffer) ? undefined : { text: buffer.toString("latin1"), encoding: "latin-1", bom: false };
}

/** Throws `invalid_argument` when the text holds a character that the encoding has not. */
export function encodeText(document: TextDocument): Uint8Array {
  const { text, encoding, bom } = document;
  switch (encoding) {
    case "utf-8":
      if (!text.isWellFormed()) throw unencodable("half of a surrogate pair", "UTF-8");
      return Buffer.from((bom ? "\ufeff" : "") + text, "utf8");
    case "latin-1": {
      const foreign = /[^\0-\xff]/u.exec(text);
      if (foreign !== null) throw unencodable(JSON.stringify(foreign[0]), "Latin-1");
      return Buffer.from(text, "latin1");
    }
    case "utf-16le":
      return Buffer.from((bom ? "\ufeff" : "") + text, "utf16le");
    case "utf-16be":
      return Buffer.from((bom ? "\ufeff" : "") + text, "utf16le").swap16();
  }
}

/** The line ending that most lines have; `\n` where there is none. */
export function newlineOf(text: string): "\n" | "\r\n" | "\r" {
  let [pairs, feeds] = [0, 0];
  for (let at = text.indexOf("\n"); at >= 0 && pairs + feeds < 10_000; at = text.indexOf("\n", at + 1)) {
    if (text.charCodeAt(at - 1) === 13) pairs += 1;
    else feeds += 1;
  }
  if (pairs + feeds === 0) return text.includes("\r") ? "\r" : "\n";
  return pairs > feeds ? "\r\n" : "\n";
}

/** What is unusual about a file, in words; empty for UTF-8 with LF and a final newline. */
export function peculiarities(document: TextDocument): string[] {
  const { text, encoding, bom } = document;
  const names = { "utf-8": "UTF-8", "utf-16le": "UTF-16 LE", "utf-16be": "UTF-16 BE", "latin-1": "Latin-1" };
  const found: string[] = [];
  if (encoding !== "utf-8") found.push(names[encoding]);
  if (bom) found.push("byte-order mark");
  const newline = newlineOf(text);
  if (newline === "\r\n") found.push(/(?<!\r)\n/.test(text) ? "mixed line endings, mostly CRLF" : "CRLF");
  else if (newline === "\r") found.push("CR line endings");
  else if (text.includes("\r\n")) found.push("mixed line endings, mostly LF");
  if (text !== "" && !/[\r\n]$/.test(text)) found.push("no final newline");
  return found;
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // Not UTF-8, which is the answer.
    return undefined;
  }
}

function decodeUtf16(buffer: Buffer, encoding: "utf-16le" | "utf-16be", bom: boolean): TextDocument | undefined {
  if (buffer.length % 2 !== 0) return undefined;
  const text = encoding === "utf-16le" ? buffer.toString("utf16le") : Buffer.from(buffer).swap16().toString("utf16le");
  return text.includes("\0") ? undefined : { text, encoding, bom };
}

/** Text in UTF-16 that is mostly Latin has a zero in every other byte, always on the same side. */
function unmarkedUtf16(buffer: Buffer): "utf-16le" | "utf-16be" | undefined {
  if (buffer.length < 4 || buffer.length % 2 !== 0) return undefined;
  const sample = buffer.subarray(0, 8192);
  const zeros = [0, 0];
  sample.forEach((byte, index) => {
    if (byte === 0) zeros[index % 2] = (zeros[index % 2] ?? 0) + 1;
  });
  const [even = 0, odd = 0] = zeros;
  if (even === 0 && odd > sample.length * 0.3) return "utf-16le";
  if (odd === 0 && even > sample.length * 0.3) return "utf-16be";
  return undefined;
}

/** Text in an old single-byte encoding has high bytes, but next to no controls; data has one in ten. */
function looksBinary(buffer: Buffer): boolean {
  const sample = buffer.subarray(0, 8192);
  const controls = sample.filter((byte) => (byte < 32 && !(byte >= 9 && byte <= 13) && byte !== 27) || byte === 127).length;
  return controls > Math.max(1, sample.length * 0.02);
}

function startsWith(buffer: Buffer, ...bytes: number[]): boolean {
  return buffer.length >= bytes.length && bytes.every((byte, index) => buffer[index] === byte);
}

function unencodable(what: string, encoding: string): GuildError {
  return new GuildError("invalid_argument", `the file is ${encoding} and cannot hold ${what}`, {
    remedy: "write it another way, or convert the file first (bash: iconv)",
  });
}
