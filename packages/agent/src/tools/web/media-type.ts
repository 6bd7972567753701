/** What an answer is, by its header and where that is silent by its first bytes. */
export interface MediaType {
  /** `text/html`, in lower case. */
  type: string;
  /** Of text; undefined: it does not say. */
  charset: string | undefined;
}

export function mediaType(header: string | undefined, bytes: Buffer): MediaType {
  const [type = "", ...parameters] = (header ?? "").split(";").map((part) => part.trim().toLowerCase());
  const charset = parameters.map((parameter) => /^charset="?([^"]+)"?$/.exec(parameter)?.[1]).find((found) => found !== undefined);
  return { type: /^[\w.+-]+\/[\w.+-]+$/.test(type) ? type : sniff(bytes), charset };
}

export function isText({ type }: MediaType): boolean {
  return (
    type.startsWith("text/") ||
    /[/+](json|xml|yaml|x-yaml|toml)$/.test(type) ||
    [
      "application/javascript",
      "application/x-javascript",
      "application/x-ndjson",
      "application/x-sh",
      "application/sql",
      "image/svg+xml",
    ].includes(type)
  );
}

export const isHtml = ({ type }: MediaType): boolean => type === "text/html" || type === "application/xhtml+xml";

/**
 * Text in the character set that the header names, else a byte-order mark, else a `<meta charset>` or an XML declaration near the beginning, else UTF-8
 * where it is that, else Windows-1252: what browsers do.
 */
export function decodeText(bytes: Buffer, { charset }: MediaType): string {
  const named = charset ?? byteOrderMark(bytes) ?? declared(bytes);
  for (const label of [named, "utf-8"]) {
    if (label === undefined) continue;
    try {
      return new TextDecoder(label, { fatal: label === "utf-8" && named !== "utf-8" }).decode(bytes);
    } catch {
      // An unknown character set, or not UTF-8: the next one.
    }
  }
  return new TextDecoder("windows-1252").decode(bytes);
}

function byteOrderMark(bytes: Buffer): string | undefined {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return "utf-8";
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  return bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : undefined;
}

function declared(bytes: Buffer): string | undefined {
  const head = bytes.subarray(0, 2048).toString("latin1");
  const found =
    /<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w:-]{1,40})/i.exec(head) ?? /^<\?xml[^>]{0,100}encoding=["']([\w:-]{1,40})["']/i.exec(head);
  return found?.[1]?.toLowerCase();
}

function sniff(bytes: Buffer): string {
  const head = bytes.subarray(0, 512);
  const start = head.toString("latin1").trimStart().toLowerCase();
  if (start.startsWith("<!doctype html") || start.startsWith("<html")) return "text/html";
  if (head.subarray(0, 8).toString("latin1") === "\x89PNG\r\n\x1a\n") return "image/png";
  if (head[0] === 0xff && head[1] === 0xd8) return "image/jpeg";
  return head.includes(0) ? "application/octet-stream" : "text/plain";
}
