import { type EmbeddingModel, GuildError, type VectorIndex } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";

import type { Log } from "../daemon/log.ts";

/** The index of a session's memory: in Milvus where the settings name one and it answers, else FAISS, else an exact scan. It can always be filled again from the log. */
export async function openSessionVectors(
  model: EmbeddingModel,
  { milvus_url: url, milvus_token: token, milvus_database: database }: Settings["knowledge"],
  journal: Log,
): Promise<VectorIndex> {
  const { openMilvusIndex, openVectorIndex } = await import("@guildhall/knowledge");
  if (url === "") return openVectorIndex(model);
  try {
    return await openMilvusIndex({ url, token, database }, model);
  } catch (error) {
    const local = await openVectorIndex(model);
    journal.warn(`knowledge: a session's vectors are in ${local.kind} instead of Milvus: ${GuildError.from(error).line}`);
    return local;
  }
}
