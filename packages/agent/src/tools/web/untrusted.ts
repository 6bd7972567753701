import type { Masker, BlobStore } from "@guildhall/core";

import { OutputRecorder, type RecordedOutput } from "../output/output-recorder.ts";

/** Text from outside as an observation shows it: clean of control characters, masked, head and tail, the whole in the blob store. */
export async function recordText(text: string, options: { blobs: BlobStore; masker?: Masker | undefined }): Promise<RecordedOutput> {
  const recorder = new OutputRecorder(options);
  for (let at = 0; at < text.length; at += PIECE) await recorder.write(Buffer.from(text.slice(at, at + PIECE).toWellFormed()));
  return recorder.take(true);
}

const PIECE = 64 * 1024;
