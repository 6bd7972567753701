import { createRequire } from "node:module";

import grpc from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";

/** What one collection holds. */
interface Collection {
  dimension: number;
  rows: Map<string, number[]>;
}

export interface FakeMilvusServer {
  /** `127.0.0.1:<port>`. */
  address: string;
  collections: Map<string, Collection>;
  /** Names of the methods that were called, in order. */
  calls: string[];
  /** Metadata `authorization` of the last call. */
  authorization: string | undefined;
  /** While set, every method but Connect fails with this. */
  failing: string | undefined;
  close(): void;
}

type Request = Record<string, unknown>;
type Handler = (request: Request) => Record<string, unknown>;

const OK = { error_code: "Success", code: 0, reason: "" };

/**
 * A server that speaks Milvus's own protocol (the descriptors that its client ships) for what an index of vectors needs: collections with a text key and vectors,
 * upsert, delete, exact search by inner product, count. It stands in for a real Milvus, which cannot be had where this is tested.
 */
export async function startFakeMilvus(): Promise<FakeMilvusServer> {
  const require = createRequire(import.meta.url);
  const { default: descriptors } = require("@zilliz/milvus2-sdk-node/dist/milvus/proto-json/milvus.js") as {
    default: Parameters<typeof fromJSON>[0];
  };
  const { default: schemas } = require("@zilliz/milvus2-sdk-node/dist/milvus/proto-json/schema.base.js") as {
    default: Parameters<typeof protobufRoot>[0];
  };
  const methods = fromJSON(descriptors, { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true })[
    "milvus.proto.milvus.MilvusService"
  ];
  const service = methods as unknown as grpc.ServiceDefinition;
  const roots = {
    schema: protobufRoot(schemas, require),
    milvus: protobufRoot(descriptors as Parameters<typeof protobufRoot>[0], require),
  };
  const collections = new Map<string, Collection>();
  const fake: FakeMilvusServer = {
    address: "",
    collections,
    calls: [],
    authorization: undefined,
    failing: undefined,
    close: () => server.forceShutdown(),
  };
  const named = (request: Request): Collection => {
    const found = collections.get(textOf(request, "collection_name"));
    if (found === undefined) throw new RangeError(`can't find collection[collection=${textOf(request, "collection_name")}]`);
    return found;
  };

  const handlers: Record<string, Handler> = {
    Connect: () => ({ identifier: "1", server_info: { build_tags: "fake", reserved: {} } }),
    GetVersion: () => ({ version: "fake" }),
    HasCollection: (request) => ({ value: collections.has(textOf(request, "collection_name")) }),
    CreateCollection(request) {
      const schema = roots.schema.lookupType("milvus.proto.schema.CollectionSchema").decode(request["schema"] as Buffer);
      const { fields } = schema as {
        fields: Array<{ name: string; isPrimaryKey: boolean; typeParams: Array<{ key: string; value: string }> }>;
      };
      const dimension = Number(fields.find(({ name }) => name === "vector")?.typeParams.find(({ key }) => key === "dim")?.value);
      if (!fields.some(({ name, isPrimaryKey }) => name === "id" && isPrimaryKey) || !(dimension > 0))
        throw new RangeError("schema does not contain vector field");
      collections.set(textOf(request, "collection_name"), { dimension, rows: new Map() });
      return OK;
    },
    DescribeCollection: (request) => ({
      collection_name: request["collection_name"],
      consistency_level: "Strong",
      schema: {
        name: request["collection_name"],
        fields: [
          { name: "id", fieldID: 100, is_primary_key: true, data_type: "VarChar", type_params: [{ key: "max_length", value: "512" }] },
          {
            name: "vector",
            fieldID: 101,
            data_type: "FloatVector",
            type_params: [{ key: "dim", value: String(named(request).dimension) }],
          },
        ],
      },
    }),
    CreateIndex: () => OK,
    LoadCollection: () => OK,
    GetLoadingProgress: () => ({ progress: "100", refresh_progress: "100" }),
    GetLoadState: () => ({ state: "LoadStateLoaded" }),
    DropCollection(request) {
      collections.delete(textOf(request, "collection_name"));
      return OK;
    },
    Upsert(request) {
      const { rows, dimension } = named(request);
      const fields = request["fields_data"] as Array<{
        field_name: string;
        scalars?: { string_data?: { data: string[] } };
        vectors?: { dim: string; float_vector?: { data: number[] } };
      }>;
      const ids = fields.find((field) => field.field_name === "id")?.scalars?.string_data?.data ?? [];
      const numbers = fields.find((field) => field.field_name === "vector")?.vectors?.float_vector?.data ?? [];
      if (numbers.length !== ids.length * dimension) throw new RangeError("the dim of vectors is not the schema's");
      for (const [at, id] of ids.entries()) rows.set(id, numbers.slice(at * dimension, (at + 1) * dimension));
      return { IDs: { str_id: { data: ids } }, upsert_cnt: String(ids.length), succ_index: [...ids.keys()] };
    },
    Delete(request) {
      const { rows } = named(request);
      const ids = idsIn(textOf(request, "expr")) ?? [];
      for (const id of ids) rows.delete(id);
      return { delete_cnt: String(ids.length) };
    },
    Search(request) {
      const { rows } = named(request);
      const group = roots.milvus.lookupType("milvus.proto.common.PlaceholderGroup").decode(request["placeholder_group"] as Buffer);
      const { placeholders } = group as { placeholders: Array<{ values: Uint8Array[] }> };
      const bytes = Buffer.from(placeholders[0]?.values[0] ?? []);
      const query = Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(at * 4));
      const parameters = new Map((request["search_params"] as Array<{ key: string; value: string }>).map(({ key, value }) => [key, value]));
      const allowed = idsIn(textOf(request, "dsl"));
      const hits = [...rows]
        .filter(([id]) => allowed === undefined || allowed.includes(id))
        .map(([id, vector]) => ({ id, score: vector.reduce((sum, value, at) => sum + value * (query[at] ?? 0), 0) }))
        .toSorted((x, y) => y.score - x.score)
        .slice(0, Number(parameters.get("topk")));
      const ids = { str_id: { data: hits.map(({ id }) => id) } };
      return {
        results: {
          num_queries: "1",
          top_k: String(hits.length),
          // The key comes back as the field that was asked for.
          output_fields: ["id"],
          fields_data: [{ type: "VarChar", field_name: "id", scalars: { string_data: ids.str_id } }],
          scores: hits.map(({ score }) => score),
          ids,
          topks: [String(hits.length)],
        },
      };
    },
    Query: (request) => ({
      output_fields: ["count(*)"],
      fields_data: [{ type: "Int64", field_name: "count(*)", scalars: { long_data: { data: [String(named(request).rows.size)] } } }],
    }),
  };

  const server = new grpc.Server({ "grpc.max_receive_message_length": -1 });
  const implementation: grpc.UntypedServiceImplementation = {};
  for (const name of Object.keys(service)) {
    const handle: grpc.handleUnaryCall<Request, Record<string, unknown>> = (call, answer) => {
      fake.calls.push(name);
      fake.authorization = call.metadata.get("authorization")[0]?.toString();
      const wrong = (reason: string): void => {
        const status = { error_code: "UnexpectedError", code: 100, reason };
        answer(null, { ...status, status });
      };
      const handler = handlers[name];
      if (handler === undefined) answer({ code: grpc.status.UNIMPLEMENTED, details: name });
      else if (fake.failing !== undefined && !["Connect", "DescribeCollection"].includes(name)) wrong(fake.failing);
      else {
        try {
          answer(null, { ...OK, ...handler(call.request), status: OK });
        } catch (error) {
          wrong(error instanceof Error ? error.message : String(error));
        }
      }
    };
    implementation[name] = handle as grpc.UntypedHandleCall;
  }
  server.addService(service, implementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  fake.address = `127.0.0.1:${port}`;
  return fake;
}

interface ProtobufRoot {
  lookupType(name: string): { decode(bytes: Uint8Array): unknown };
}

/** The reader that the client itself uses. */
function protobufRoot(descriptors: Record<string, unknown>, require: NodeJS.Require): ProtobufRoot {
  const { Root } = createRequire(require.resolve("@zilliz/milvus2-sdk-node"))("protobufjs") as {
    Root: { fromJSON(json: unknown): ProtobufRoot };
  };
  return Root.fromJSON(descriptors);
}

function textOf(request: Request, name: string): string {
  const value = request[name];
  return typeof value === "string" ? value : "";
}

/** `id in ["a","b"]`; undefined for an empty expression. */
function idsIn(expression: string): string[] | undefined {
  if (expression === "") return undefined;
  const list = /^id in (\[.*\])$/s.exec(expression)?.[1];
  if (list === undefined) throw new RangeError(`cannot parse expression: ${expression}`);
  return JSON.parse(list) as string[];
}
