import { Readable, type Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";

import { GuildError } from "@guildhall/core";

import type { Answer } from "./exchange.ts";

/** What this reads of an answer at most, decoded; an archive bomb ends here too. */
const MOST_BODY = 8 * 1024 * 1024;

/** Encodings that `readBody` takes. */
export const ACCEPT_ENCODING = "gzip, deflate, br, zstd";

/** The decoded body; `cut`: there was more than `most` bytes. Throws `unavailable` when it breaks off or is not what it says. */
export async function readBody(answer: Answer, signal: AbortSignal, most = MOST_BODY): Promise<{ bytes: Buffer; cut: boolean }> {
  const decoder = decoderOf((answer.headers["content-encoding"] ?? "").trim().toLowerCase());
  const source = Readable.from(answer.body);
  const chunks: Uint8Array[] = [];
  let size = 0;
  const stop = (): void => void source.destroy(signal.reason instanceof Error ? signal.reason : undefined);
  signal.addEventListener("abort", stop, { once: true });
  try {
    if (decoder !== undefined) source.on("error", (error) => decoder.destroy(error));
    for await (const chunk of decoder === undefined ? source : source.pipe(decoder)) {
      const bytes = chunk as Uint8Array;
      chunks.push(bytes.subarray(0, most - size));
      size += bytes.length;
      if (size > most) return { bytes: Buffer.concat(chunks), cut: true };
    }
    return { bytes: Buffer.concat(chunks), cut: false };
  } catch (error) {
    if (signal.aborted) {
      throw GuildError.is(signal.reason)
        ? signal.reason
        : new GuildError("deadline_exceeded", "the answer did not end in time", { cause: error });
    }
    throw new GuildError("unavailable", `the answer breaks off: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  } finally {
    signal.removeEventListener("abort", stop);
    source.destroy();
    answer.close();
  }
}

function decoderOf(encoding: string): Transform | undefined {
  switch (encoding) {
    case "":
    case "identity":
      return undefined;
    case "gzip":
    case "x-gzip":
      return createGunzip();
    case "deflate":
      return createInflate();
    case "br":
      return createBrotliDecompress();
    case "zstd":
      return createZstdDecompress();
    default:
      throw new GuildError("unavailable", `the answer is encoded as ${JSON.stringify(encoding.slice(0, 40))}, which was not asked for`);
  }
}
