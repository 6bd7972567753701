import { GuildError } from "@guildhall/core";
import { z } from "zod";

import { type EmbedderDeps, openEmbedder } from "./embedder.ts";

const requestSchema = z.strictObject({ docs: z.string(), queries: z.string(), qrels: z.string(), k: z.int().min(1), json: z.boolean() });

/** `guild knowledge eval`, in a process of its own: measures retrieval on the files that `request` (JSON) names and writes one line an arm. */
export async function evaluateFiles(request: string, deps: EmbedderDeps, write: (line: string) => void): Promise<void> {
  const parsed = requestSchema.safeParse(JSON.parse(request));
  if (!parsed.success) throw new GuildError("invalid_argument", `no evaluation: ${parsed.error.issues[0]?.message ?? ""}`);
  const { openVectorIndex, runEval } = await import("@guildhall/knowledge");
  const embedder = await openEmbedder(deps);
  try {
    const vectors = await openVectorIndex(embedder.model);
    try {
      await runEval({ ...parsed.data, embedder, vectors }, write);
    } finally {
      await vectors.close();
    }
  } finally {
    await embedder.close();
  }
}
