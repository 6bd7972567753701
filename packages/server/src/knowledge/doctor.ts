import { GuildError, systemClock } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";

import type { MachineFinding } from "../daemon/machine-finding.ts";
import { embedderInWords, openUncached, USUAL_EMBEDDER } from "./embedder.ts";

/** Which indices sessions' memories and what is shared stand on. */
export async function checkKnowledge(settings: Settings | undefined, dataDir: string): Promise<MachineFinding[]> {
  const session = await checkSession(settings?.knowledge);
  return settings === undefined ? session : [...session, await checkShared(settings.knowledge), await checkEmbedder(settings, dataDir)];
}

/** What makes the vectors, and whether it can. */
async function checkEmbedder({ knowledge, keys }: Settings, dataDir: string): Promise<MachineFinding> {
  const id = "knowledge/embedder";
  try {
    const deps = { dataDir, clock: systemClock(), settings: () => knowledge, keys: () => keys };
    const embedder = await openUncached(deps);
    const text = `embeddings: ${embedderInWords(embedder.model, knowledge.embedder)}`;
    try {
      if (knowledge.embedder !== USUAL_EMBEDDER) await embedder.embed(["Does it answer?"], AbortSignal.timeout(PATIENCE_MS));
      return { id, level: "ok", text, remedy: "" };
    } finally {
      await embedder.close();
    }
  } catch (error) {
    const { message, remedy = "" } = GuildError.from(error);
    const text = `embeddings: search is by words alone, ${knowledge.embedder} cannot be used: ${message}`;
    return { id, level: "problem", text, remedy: remedy === "" ? "check knowledge.embedder" : remedy };
  }
}

const PATIENCE_MS = 10_000;

/** What the vectors of what is shared stand on. */
async function checkShared(settings: Settings["knowledge"]): Promise<MachineFinding> {
  const id = "knowledge/shared-index";
  const { chromaClient, findChroma } = await import("@guildhall/knowledge");
  if (settings.vectors === "memory")
    return { id, level: "ok", text: "shared knowledge: vectors in memory, as the settings say", remedy: "" };
  const { chroma_url: url, chroma_token: token } = settings;
  if (url === "") {
    if (findChroma() !== undefined) return { id, level: "ok", text: "shared knowledge: ChromaDB of Guildhall's own", remedy: "" };
    return {
      id,
      level: "warning",
      text: "shared knowledge: vectors in memory, ChromaDB is not installed",
      remedy: "run npm install with optional packages",
    };
  }
  try {
    const version = await chromaClient({ url, token }).version();
    return { id, level: "ok", text: `shared knowledge: ChromaDB ${version} at ${url}`, remedy: "" };
  } catch (error) {
    return {
      id,
      level: "problem",
      text: `shared knowledge: ${GuildError.from(error).message} (${url})`,
      remedy: "check knowledge.chroma_url and its token",
    };
  }
}

async function checkSession(settings: Settings["knowledge"] | undefined): Promise<MachineFinding[]> {
  const { milvus_url: url = "", milvus_token: token = "" } = settings ?? {};
  if (url !== "") {
    const { milvusVersion } = await import("@guildhall/knowledge");
    try {
      const version = await milvusVersion({ url, token });
      return [{ id: "knowledge/session-index", level: "ok", text: `session memory: Milvus ${version} at ${url}`, remedy: "" }];
    } catch (error) {
      const { message, remedy = "" } = GuildError.from(error);
      const [local] = await checkLocal();
      const text = `session memory: ${message} (${url}); instead ${local?.text.replace("session memory: ", "") ?? "an exact scan"}`;
      return [{ id: "knowledge/session-index", level: "problem", text, remedy }];
    }
  }
  return checkLocal();
}

async function checkLocal(): Promise<MachineFinding[]> {
  const { FAISS_ADDON, loadFaiss } = await import("@guildhall/knowledge");
  const id = "knowledge/session-index";
  try {
    if (loadFaiss(FAISS_ADDON) !== undefined) return [{ id, level: "ok", text: "session memory: FAISS", remedy: "" }];
    const remedy = "install libfaiss-dev and run the set-up again for a faster one";
    return [{ id, level: "warning", text: "session memory: exact scan, FAISS is not built", remedy }];
  } catch (error) {
    const { message, remedy = "" } = GuildError.from(error);
    return [{ id, level: "warning", text: `session memory: exact scan, ${message}`, remedy }];
  }
}
