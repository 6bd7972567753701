import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

import { GuildError } from "@guildhall/core";

/** Where a Chroma server is: a Unix socket, or a URL with what it asks for. */
export type ChromaAddress = { socket: string } | { url: string; token?: string; tenant?: string; database?: string };

/** Chroma's HTTP interface, version 2: what an index needs of it. */
export interface ChromaClient {
  version(): Promise<string>;
  /** Makes the collection when there is none; its metadata are those of its making. */
  collection(name: string, metadata: Record<string, string | number>): Promise<{ id: string; metadata: Record<string, unknown> }>;
  count(id: string): Promise<number>;
  /** Vectors of those of the ids that it holds. */
  vectors(id: string, ids: readonly string[]): Promise<Array<{ id: string; vector: Float32Array }>>;
  /** Marks of those of the ids that it holds with one. */
  marks(id: string, ids: readonly string[]): Promise<Map<string, string>>;
  upsert(id: string, items: ReadonlyArray<{ id: string; vector: Float32Array; mark?: string }>): Promise<void>;
  remove(id: string, ids: readonly string[]): Promise<void>;
  /** Ids with their cosine distances, nearest first. */
  query(id: string, vector: Float32Array, limit: number): Promise<Array<{ id: string; distance: number }>>;
  drop(name: string): Promise<void>;
}

const TIMEOUT_MS = 20_000;
/** Chroma takes no more at once. */
const BATCH = 2_000;

/** Errors: `unavailable` when it does not answer, `unauthenticated`, `failed_precondition` for what it refuses. Nothing is ever taken for an empty answer. */
export function chromaClient(address: ChromaAddress): ChromaClient {
  const where = "socket" in address ? `unix:${address.socket}` : address.url;
  const tenant = "url" in address ? (address.tenant ?? "default_tenant") : "default_tenant";
  const database = "url" in address ? (address.database ?? "default_database") : "default_database";
  const base = `/api/v2/tenants/${encodeURIComponent(tenant)}/databases/${encodeURIComponent(database)}/collections`;

  const ask = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const { status, text } = await send(address, method, path, body).catch((error: unknown) => {
      if (isCertificateFault(error)) {
        throw new GuildError("permission_denied", "Chroma's certificate is not of an authority that is known here", {
          subject: where,
          remedy: "start the daemon with NODE_EXTRA_CA_CERTS=<the authority's certificate>",
          cause: error,
        });
      }
      throw new GuildError("unavailable", "Chroma does not answer", {
        subject: where,
        remedy: "the facts are safe in the database",
        cause: error,
      });
    });
    if (status >= 200 && status < 300) return text === "" ? undefined : parse(text, where);
    if (status === 401 || status === 403) {
      throw new GuildError("unauthenticated", "Chroma refused the token", { subject: where, remedy: "set knowledge.chroma_token" });
    }
    if (status >= 500) throw new GuildError("unavailable", `Chroma failed: ${text.slice(0, 200)}`, { subject: where });
    throw new GuildError(status === 404 ? "not_found" : "failed_precondition", `Chroma refused: ${text.slice(0, 200)}`, { subject: where });
  };

  return {
    version: async () => String(await ask("GET", "/api/v2/version")),
    async collection(name, metadata) {
      const made = await ask("POST", base, {
        name,
        get_or_create: true,
        metadata,
        configuration: { hnsw: { space: "cosine", ef_search: 200 } },
      });
      const { id, metadata: found } = made as { id: string; metadata: Record<string, unknown> | null };
      return { id, metadata: found ?? {} };
    },
    count: async (id) => Number(await ask("GET", `${base}/${id}/count`)),
    async vectors(id, ids) {
      const found: Array<{ id: string; vector: Float32Array }> = [];
      for (let from = 0; from < ids.length; from += BATCH) {
        const answer = await ask("POST", `${base}/${id}/get`, { ids: ids.slice(from, from + BATCH), include: ["embeddings"] });
        const { ids: known, embeddings } = answer as { ids: string[]; embeddings: number[][] };
        for (const [at, one] of known.entries()) found.push({ id: one, vector: Float32Array.from(embeddings[at] ?? []) });
      }
      return found;
    },
    async marks(id, ids) {
      const found = new Map<string, string>();
      for (let from = 0; from < ids.length; from += BATCH) {
        const answer = await ask("POST", `${base}/${id}/get`, { ids: ids.slice(from, from + BATCH), include: ["metadatas"] });
        const { ids: known, metadatas } = answer as { ids: string[]; metadatas: Array<{ mark?: unknown } | null> };
        for (const [at, one] of known.entries()) {
          const mark = metadatas[at]?.mark;
          if (typeof mark === "string" && mark !== "") found.set(one, mark);
        }
      }
      return found;
    },
    async upsert(id, items) {
      for (let from = 0; from < items.length; from += BATCH) {
        const batch = items.slice(from, from + BATCH);
        await ask("POST", `${base}/${id}/upsert`, {
          ids: batch.map((one) => one.id),
          embeddings: batch.map((one) => [...one.vector]),
          metadatas: batch.map(({ mark = "" }) => ({ mark })),
        });
      }
    },
    async remove(id, ids) {
      for (let from = 0; from < ids.length; from += BATCH)
        await ask("POST", `${base}/${id}/delete`, { ids: ids.slice(from, from + BATCH) });
    },
    async query(id, vector, limit) {
      const answer = await ask("POST", `${base}/${id}/query`, {
        query_embeddings: [[...vector]],
        n_results: limit,
        include: ["distances"],
      });
      const { ids, distances } = answer as { ids: string[][]; distances: number[][] };
      return (ids[0] ?? []).map((found, at) => ({ id: found, distance: distances[0]?.[at] ?? 1 }));
    },
    async drop(name) {
      try {
        await ask("DELETE", `${base}/${encodeURIComponent(name)}`);
      } catch (error) {
        if (!GuildError.is(error, "not_found")) throw error;
      }
    },
  };
}

async function send(address: ChromaAddress, method: string, path: string, body: unknown): Promise<{ status: number; text: string }> {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    "content-type": "application/json",
    ...(payload === undefined ? {} : { "content-length": String(Buffer.byteLength(payload)) }),
    ...("token" in address && address.token !== undefined && address.token !== ""
      ? { "x-chroma-token": address.token, authorization: `Bearer ${address.token}` }
      : {}),
  };
  return await new Promise((resolve, reject) => {
    const options = { method, headers, timeout: TIMEOUT_MS };
    const outgoing =
      "socket" in address
        ? httpRequest({ ...options, socketPath: address.socket, path })
        : (address.url.startsWith("https:") ? httpsRequest : httpRequest)(new URL(path, address.url), options);
    outgoing.on("response", (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
      incoming.on("error", reject);
    });
    outgoing.on("timeout", () => outgoing.destroy(new GuildError("deadline_exceeded", "no answer in time")));
    outgoing.on("error", reject);
    outgoing.end(payload);
  });
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new GuildError("unavailable", "what answers there is no Chroma", { subject: where, remedy: "check the address", cause: error });
  }
}

function isCertificateFault(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return /SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET)|CERT_|ERR_TLS/.test(code);
}
