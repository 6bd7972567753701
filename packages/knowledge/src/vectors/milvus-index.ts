import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type EmbeddingModel, GuildError, type VectorIndex } from "@guildhall/core";
import type * as Milvus from "@zilliz/milvus2-sdk-node";
import type { MilvusClient } from "@zilliz/milvus2-sdk-node";

import { checkDimension } from "./saved-index.ts";

export interface MilvusAddress {
  /** `host:port`, or `https://host:port` for TLS. */
  url: string;
  /** `user:password` or an API key; empty: none. */
  token?: string;
  database?: string;
}

/** Ids that one expression or message names. */
const BATCH = 500;
const TIMEOUT_MS = 20_000;
/** Milvus finds no more at once. */
const MOST_FOUND = 16_384;
const SAVED = "milvus.json";

/**
 * Vectors in a collection of a Milvus server, a collection an index, through Milvus's own client. The index is FLAT by inner product: exact, like FAISS's. Reads see
 * every write before them (consistency Strong). `close` drops a collection that was not saved. Throws `unavailable` where the server does not answer or
 * refuses, `failed_precondition` for vectors of another model and where the client is not installed.
 */
export async function openMilvusIndex(address: MilvusAddress, model: EmbeddingModel, directory?: string): Promise<VectorIndex> {
  const { DataType, MilvusClient } = await loadClient();
  const saved = directory === undefined ? undefined : await readName(directory, model);
  const name = saved ?? `guildhall_${createHash("sha256").update(randomUUID()).digest("hex").slice(0, 32)}`;
  const { url, token = "", database = "" } = address;
  const client = new MilvusClient({
    address: url,
    timeout: TIMEOUT_MS,
    maxRetries: 2,
    logLevel: "error",
    ...(token === "" ? {} : { token }),
    ...(database === "" ? {} : { database }),
  });
  let kept = saved !== undefined;
  let changes: Promise<unknown> = Promise.resolve();

  const ask = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      const answer = await work();
      refuseFailure(answer);
      return answer;
    } catch (error) {
      const said = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
      throw new GuildError("unavailable", `Milvus failed: ${said}`, {
        subject: url,
        remedy: "check that it runs, and knowledge.milvus_url and its token",
        cause: error,
      });
    }
  };
  /** One after another, in the order in which they were asked for; what fails is told to whoever asked. */
  const change = <T>(work: () => Promise<T>): Promise<T> => {
    const done = changes.then(() => ask(work));
    // Whoever asked is told; those behind go on all the same.
    changes = done.catch(() => undefined);
    return done;
  };

  try {
    await ask(() => client.connectPromise);
    if (saved === undefined) await ask(() => createCollection(client, name, model, DataType));
    else await ask(() => client.loadCollection({ collection_name: name }));
  } catch (error) {
    await client.closeConnection().catch(() => undefined); // What went wrong is told.
    throw error;
  }

  return {
    model,
    kind: "milvus",
    async size() {
      await changes;
      const { data } = await ask(() =>
        client.query({ collection_name: name, filter: "", output_fields: ["count(*)"], consistency_level: STRONG }),
      );
      return Number(data[0]?.["count(*)"] ?? 0);
    },
    async add(items) {
      checkDimension(
        model,
        items.map((item) => item.vector),
      );
      const last = [...new Map(items.map(({ id, vector }) => [id, vector]))].map(([id, vector]) => ({ id, vector: [...vector] }));
      await Promise.all(batches(last).map((data) => change(() => client.upsert({ collection_name: name, data }))));
    },
    async remove(ids) {
      await Promise.all(batches(ids).map((some) => change(() => client.delete({ collection_name: name, filter: among(some) }))));
    },
    async search(query, limit, allowed) {
      checkDimension(model, [query]);
      if (limit <= 0 || allowed?.size === 0) return [];
      await changes;
      const expressions = allowed === undefined ? [""] : batches([...allowed]).map(among);
      const found = await Promise.all(
        expressions.map((filter) =>
          ask(() =>
            client.search({
              collection_name: name,
              data: [[...query]],
              anns_field: "vector",
              limit: Math.min(limit, MOST_FOUND),
              output_fields: ["id"],
              metric_type: "IP",
              consistency_level: STRONG,
              ...(filter === "" ? {} : { filter }),
            }),
          ),
        ),
      );
      const hits = found.flatMap(({ results }) => (results as unknown as Array<{ id: string; score: number }[]>).flat());
      return hits
        .map(({ id, score }) => ({ id, score }))
        .toSorted((x, y) => y.score - x.score)
        .slice(0, limit);
    },
    async save(to) {
      await changes;
      await mkdir(to, { recursive: true, mode: 0o700 });
      await writeFile(join(to, SAVED), JSON.stringify({ name, model }), { mode: 0o600 });
      kept = true;
    },
    async close() {
      await changes;
      try {
        if (!kept) await client.dropCollection({ collection_name: name });
      } catch {
        // It is away: nothing of it is needed any more.
      }
      await client.closeConnection();
    },
  };
}

/** Milvus's version. Throws `unavailable` where none answers. */
export async function milvusVersion({ url, token = "" }: MilvusAddress): Promise<string> {
  const { MilvusClient } = await loadClient();
  const client = new MilvusClient({ address: url, timeout: 5_000, maxRetries: 1, logLevel: "error", ...(token === "" ? {} : { token }) });
  try {
    await client.connectPromise;
    return (await client.getVersion()).version;
  } catch (error) {
    throw new GuildError("unavailable", "Milvus does not answer", { subject: url, remedy: "check knowledge.milvus_url", cause: error });
  } finally {
    await client.closeConnection().catch(() => undefined); // What went wrong is told.
  }
}

const STRONG = 0;

type Client = typeof Milvus;

async function loadClient(): Promise<Client> {
  try {
    return await import("@zilliz/milvus2-sdk-node");
  } catch (error) {
    throw new GuildError("failed_precondition", "Milvus's client is not installed", {
      subject: "@zilliz/milvus2-sdk-node",
      remedy: "run npm install with optional packages",
      cause: error,
    });
  }
}

async function createCollection(client: MilvusClient, name: string, model: EmbeddingModel, types: Client["DataType"]): Promise<unknown> {
  return await client.createCollection({
    collection_name: name,
    description: `Guildhall: ${model.id} (${model.dimension})`.slice(0, 200),
    consistency_level: "Strong",
    fields: [
      { name: "id", data_type: types.VarChar, is_primary_key: true, max_length: 512 },
      { name: "vector", data_type: types.FloatVector, dim: model.dimension },
    ],
    index_params: [{ field_name: "vector", index_type: "FLAT", metric_type: "IP" }],
  });
}

async function readName(directory: string, model: EmbeddingModel): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(join(directory, SAVED), "utf8");
  } catch {
    return undefined;
  }
  const { name, model: of } = JSON.parse(text) as { name: string; model: EmbeddingModel };
  if (of.id === model.id && of.dimension === model.dimension) return name;
  throw new GuildError("failed_precondition", `the saved index is of ${of.id} (${of.dimension}), not of ${model.id} (${model.dimension})`, {
    subject: directory,
    remedy: "embed again",
  });
}

/** The client gives most failures back as an answer. */
function refuseFailure(answer: unknown): void {
  const { status, error_code: code, reason } = (answer ?? {}) as { status?: Status } & Status;
  const told = status ?? { error_code: code, reason };
  if (told.error_code === undefined || told.error_code === "Success" || told.error_code === 0) return;
  throw new GuildError("unavailable", told.reason === undefined || told.reason === "" ? String(told.error_code) : told.reason);
}

interface Status {
  error_code?: string | number | undefined;
  reason?: string | undefined;
}

function among(ids: readonly string[]): string {
  return `id in ${JSON.stringify(ids)}`;
}

function batches<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / BATCH) }, (_, at) => items.slice(at * BATCH, (at + 1) * BATCH));
}
