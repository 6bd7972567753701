import { GuildError } from "@guildhall/core";
import type { PromptMessage } from "@guildhall/protocol";

import type { Run } from "./run.ts";

/** The newest of a prompt; of those before only the words are sent. */
const MOST_IMAGES = 20;
/** Of one picture, bytes: providers take no more. */
const LARGEST = 5_000_000;

/** Bytes of a prompt's pictures by digest. Those that are gone, too many or too large are left out. */
export async function loadImages(messages: readonly PromptMessage[], run: Run): Promise<ReadonlyMap<string, Uint8Array>> {
  const loaded = new Map<string, Uint8Array>();
  if (run.recorded !== undefined) return loaded;
  const wanted = messages.flatMap((message) => message.images).filter(({ size }) => size <= LARGEST);
  if (wanted.length === 0) return loaded;
  const { blobs } = await run.deps.toolSession;
  for (const { digest } of wanted.slice(-MOST_IMAGES)) {
    try {
      const chunks: Uint8Array[] = [];
      for await (const chunk of blobs.get(digest)) chunks.push(chunk);
      loaded.set(digest, Buffer.concat(chunks));
    } catch (error) {
      // The picture is no more; the model reads that it is not shown.
      if (!GuildError.is(error, "not_found")) throw error;
    }
  }
  return loaded;
}
