import type { BlobStore, ToolResult } from "@guildhall/core";
import type { BlobRef } from "@guildhall/protocol";
import type { CallToolResult, ContentBlock, ReadResourceResult } from "@modelcontextprotocol/client";

import { bounded, oneLine } from "../foreign/line.ts";

/** Characters of text that a result shows; the whole is in the blob store. */
const SHOWN = 16_000;
/** Bytes of JSON of a structured result that is kept beside the text. */
const MOST_DATA = 64 * 1024;
/** Parts of one result. */
const MOST_PARTS = 200;

/** What a server answered, as an observation: text bounded, bytes in the blob store, everything else named. */
export async function toToolResult(result: CallToolResult, blobs: BlobStore): Promise<ToolResult> {
  const parts: string[] = [];
  for (const block of result.content.slice(0, MOST_PARTS)) parts.push(await describe(block, blobs));
  if (result.content.length > MOST_PARTS) parts.push(`[${result.content.length - MOST_PARTS} further parts left out]`);
  const structured = result.structuredContent === undefined ? undefined : JSON.stringify(result.structuredContent);
  if (parts.length === 0 && structured !== undefined) parts.push(structured);
  const shown = await showText(parts.join("\n") || "[no content]", blobs);
  const keep = structured !== undefined && structured.length <= MOST_DATA;
  return {
    status: result.isError === true ? "error" : "ok",
    ...shown,
    ...(keep ? { data: { structured: result.structuredContent } } : {}),
  };
}

/** A text, and where it is long its head and tail with the whole in the blob store. */
export async function showText(text: string, blobs: BlobStore): Promise<Pick<ToolResult, "output" | "fullOutput">> {
  if (text.length <= SHOWN) return { output: text };
  const fullOutput = await blobs.put(Buffer.from(text), "text/plain; charset=utf-8");
  const half = SHOWN / 2;
  const missing = (text.length - SHOWN).toLocaleString("en");
  const note = `[… ${missing} characters left out; the whole: edit, view, output:${fullOutput.digest} …]`;
  return { output: `${text.slice(0, half)}\n${note}\n${text.slice(-half)}`, fullOutput };
}

/** Contents of a resource, likewise. */
export async function toResourceResult(result: ReadResourceResult, blobs: BlobStore): Promise<ToolResult> {
  const parts: string[] = [];
  for (const one of result.contents.slice(0, MOST_PARTS)) {
    parts.push("text" in one ? one.text : await keep(one.blob, one.mimeType, blobs));
  }
  return { status: "ok", ...(await showText(parts.join("\n") || "[no content]", blobs)) };
}

async function describe(block: ContentBlock, blobs: BlobStore): Promise<string> {
  switch (block.type) {
    case "text":
      return block.text;
    case "image":
    case "audio":
      return await keep(block.data, block.mimeType, blobs);
    case "resource_link":
      return `[resource ${oneLine(block.name, 100)}: ${oneLine(block.uri, 300)}]`;
    case "resource": {
      const { resource } = block;
      const name = `[resource ${oneLine(resource.uri, 300)}]`;
      return `${name}\n${"text" in resource ? resource.text : await keep(resource.blob, resource.mimeType, blobs)}`;
    }
    default:
      return `[${bounded(String((block as { type: unknown }).type), 40)}: cannot be shown]`;
  }
}

async function keep(data: string, mediaType: string | undefined, blobs: BlobStore): Promise<string> {
  const reference: BlobRef = await blobs.put(Buffer.from(data, "base64"), oneLine(mediaType ?? "application/octet-stream", 100));
  return `[${reference.mediaType}, ${Number(reference.size).toLocaleString("en")} bytes: output:${reference.digest}]`;
}
