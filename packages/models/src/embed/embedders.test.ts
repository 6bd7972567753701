import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { GuildError, systemClock } from "@guildhall/core";
import { embedderContract, writeTinyGguf } from "@guildhall/core/testing";

import { createEmbedderProvider } from "./embedders.ts";

const provider = createEmbedderProvider({ clock: systemClock(), random: () => 0 });

describe("embeddings by the registry of models", () => {
  const asked: Array<{ path: string; headers: IncomingHttpHeaders; body: Record<string, unknown> }> = [];
  let answer: ((input: string[]) => { status?: number; headers?: Record<string, string>; body: string }) | undefined;
  let server: Server;
  let origin = "";
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "guild-embedders-"));
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const body = JSON.parse(Buffer.concat(chunks).toString()) as { input: string[] };
        asked.push({ path: request.url ?? "", headers: request.headers, body });
        const vectors = body.input.map((text) => [1, text.length, 2]);
        const usual =
          request.url === "/api/embed"
            ? { embeddings: vectors, prompt_eval_count: body.input.length * 3 }
            : { data: vectors.map((embedding, index) => ({ index, embedding })), usage: { prompt_tokens: body.input.length * 3 } };
        const { status = 200, headers = {}, body: text } = answer?.(body.input) ?? { body: JSON.stringify(usual) };
        response.writeHead(status, { "content-type": "application/json", ...headers }).end(text);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(async () => {
    server.close();
    server.closeAllConnections();
    await rm(directory, { recursive: true });
  });

  it("are asked of each provider in its own form, at its own path, with its own key and no other", async () => {
    const credentials = { OPENAI_API_KEY: "key-o", AZURE_OPENAI_API_KEY: "key-z", OPENROUTER_API_KEY: "key-r", GEMINI_API_KEY: "key-g" };
    for (const [spec, path, key] of [
      ["openai/text-embedding-3-small", "/v1/embeddings", "Bearer key-o"],
      ["openrouter/openai/text-embedding-3-small", "/v1/embeddings", "Bearer key-r"],
      ["google/gemini-embedding-001", "/v1/embeddings", "Bearer key-g"],
      ["openai-compatible/m", "/v1/embeddings", undefined],
      ["llamacpp/m", "/v1/embeddings", undefined],
      ["vllm/m", "/v1/embeddings", undefined],
      ["lmstudio/m", "/v1/embeddings", undefined],
      ["tabbyapi/m", "/v1/embeddings", undefined],
      ["ollama/nomic-embed-text", "/api/embed", undefined],
    ] as const) {
      const embedder = await provider.open({ spec: `${spec}@${origin}/v1`, credentials });
      assert.deepEqual(embedder.model, { id: spec, dimension: 3 }, "the address is no part of the model");
      await embedder.embed(["x"]);
      const { path: at, headers, body } = asked.at(-1) ?? assert.fail();
      assert.deepEqual([at, headers.authorization], [path, key], spec);
      assert.equal(body["model"], spec.slice(spec.indexOf("/") + 1));
      assert.equal(embedder.spent().tokens, 6, "counted by the service: the question for the dimension too");
    }
    const azure = await provider.open({ spec: "azure/deployment", baseUrl: origin, dimension: 3, credentials });
    await azure.embed(["x"]);
    assert.deepEqual([asked.at(-1)?.path, asked.at(-1)?.headers["api-key"]], ["/openai/v1/embeddings", "key-z"]);
    assert.equal(asked.at(-1)?.headers.authorization, undefined);
  });

  it("have a price where the tables know one, and cost nothing on this machine", async () => {
    const credentials = { OPENAI_API_KEY: "k" };
    const paid = await provider.open({ spec: `openai/text-embedding-3-small@${origin}/v1`, dimension: 3, credentials });
    await paid.embed(["a", "b"]);
    const { tokens, costUsd, costKnown, requests } = paid.spent();
    assert.deepEqual([tokens, costKnown, requests], [6, true, 1]);
    assert.ok(Math.abs(costUsd - (6 * 0.02) / 1e6) < 1e-12);
    const unknown = await provider.open({ spec: `openai/text-embedding-9@${origin}/v1`, dimension: 3, credentials });
    assert.equal(unknown.spent().costKnown, false);
    assert.equal((await provider.open({ spec: `ollama/m@${origin}/v1`, dimension: 3, credentials: {} })).spent().costKnown, true);
  });

  it("say what is wrong with a specification, a key, an answer", async () => {
    const open = (spec: string, more = {}) => provider.open({ spec, credentials: {}, dimension: 3, ...more });
    const code = (wanted: GuildError["code"], part: string) => (error: unknown) => {
      assert.ok(GuildError.is(error, wanted), String(error));
      assert.ok(error.line.includes(part), error.line);
      return true;
    };
    await assert.rejects(open("anthropic/claude-sonnet-5"), code("unsupported", "Anthropic gives no embeddings"));
    await assert.rejects(open("nobody/m"), code("not_found", "ollama/<model>"));
    await assert.rejects(open("scripted:x"), code("unsupported", "transformers:<directory>"));
    await assert.rejects(open("openai/m"), code("unauthenticated", "OPENAI_API_KEY"));
    await assert.rejects(open("openai-compatible/m"), code("invalid_argument", "base URL"));
    await assert.rejects(open("llama:/missing.gguf"), code("not_found", "/missing.gguf"));
    await assert.rejects(open("llama:relative.gguf"), code("invalid_argument", "whole path"));
    const embedder = await open(`ollama/m@${origin}/v1`);
    const cases: Array<[{ status?: number; body: string }, GuildError["code"], string]> = [
      [{ status: 401, body: "who are you" }, "unauthenticated", "who are you"],
      [{ status: 404, body: '{"error":"model not found"}' }, "unavailable", "model not found"],
      [{ body: "<html>" }, "unavailable", "no JSON"],
      [{ body: "null" }, "unavailable", "no vector"],
      [{ body: '{"embeddings":[]}' }, "unavailable", "0 vectors for 1 texts"],
      [{ body: '{"embeddings":[["a"]]}' }, "unavailable", "no vector"],
      [{ body: '{"embeddings":[[1,2]]}' }, "failed_precondition", "2 numbers, not 3"],
      [{ body: `{"embeddings":"${"x".repeat(33 * 1024 * 1024)}"}` }, "unavailable", "more than"],
    ];
    for (const [given, wanted, part] of cases) {
      answer = () => given;
      await assert.rejects(embedder.embed(["x"]), code(wanted, part));
    }
    answer = undefined;
    assert.equal((await embedder.embed(["x"])).length, 1);
  });

  it("wait as long as the service asks, and no longer than is sensible", async () => {
    const embedder = await provider.open({ spec: `ollama/m@${origin}/v1`, dimension: 3, credentials: {} });
    let refusals = 1;
    answer = () =>
      refusals-- > 0 ? { status: 429, headers: { "retry-after-ms": "5" }, body: "slow down" } : { body: '{"embeddings":[[1,0,0]]}' };
    assert.equal((await embedder.embed(["x"])).length, 1);
    const before = asked.length;
    answer = () => ({ status: 429, headers: { "retry-after": "3600" }, body: "tomorrow" });
    await assert.rejects(embedder.embed(["x"]), (error) => GuildError.is(error, "unavailable") && error.line.includes("tomorrow"));
    assert.equal(asked.length, before + 1);
    answer = undefined;
  });

  it("of a file are known by what is in it: another model under the same name is another", async () => {
    const file = join(directory, "m.gguf");
    await writeTinyGguf(file, { seed: 1 });
    const first = await provider.open({ spec: `llama:${file}`, credentials: {} });
    await writeTinyGguf(file, { seed: 2, dimension: 64 });
    const second = await provider.open({ spec: "llama:m.gguf", directory, credentials: {} });
    assert.match(first.model.id, /^llama:m\.gguf-[0-9a-f]{12}$/);
    assert.notEqual(first.model.id, second.model.id);
    assert.deepEqual([first.model.dimension, second.model.dimension], [32, 64]);
  });
});

/** The real package brings half a gigabyte: here stands one of its shape. */
describe("transformers.js from a directory", () => {
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "guild-transformers-"));
    const home = join(directory, "node_modules", "@huggingface", "transformers");
    await mkdir(home, { recursive: true });
    await writeFile(join(directory, "config.json"), '{"model_type":"bert","hidden_size":4}');
    await writeFile(join(home, "package.json"), '{"name":"@huggingface/transformers","type":"module","main":"./index.js"}');
    await writeFile(
      join(home, "index.js"),
      `export const env = {};
class Tensor {
  constructor(rows) { this.dims = [rows.length, 4]; this.data = Float32Array.from(rows.flat()); }
  dispose() { this.data = undefined; }
}
export async function pipeline(task, model, options) {
  if (task !== "feature-extraction" || env.allowRemoteModels || options.local_files_only !== true || env.localModelPath + "/" + model !== ${JSON.stringify(directory)})
    throw new Error("it may not fetch anything");
  return async (texts, { pooling, normalize }) => {
    if (pooling !== "mean" || !normalize) throw new Error("no unit vectors");
    return new Tensor(texts.map((text) => {
      const row = [1, text.length % 7, text.charCodeAt(0) % 5, 2];
      const length = Math.hypot(...row);
      return row.map((value) => (Number.isNaN(value) ? 0 : value / length));
    }));
  };
}
`,
    );
  });
  after(() => rm(directory, { recursive: true }));

  embedderContract("transformers.js", () => provider.open({ spec: `transformers:${directory}`, credentials: {} }));

  it("says what is missing: the directory, the package", async () => {
    await assert.rejects(provider.open({ spec: "transformers:/nowhere", credentials: {} }), (error) => GuildError.is(error, "not_found"));
    const bare = await mkdtemp(join(tmpdir(), "guild-transformers-"));
    await writeFile(join(bare, "config.json"), "{}");
    await assert.rejects(
      provider.open({ spec: `transformers:${bare}`, credentials: {} }),
      (error) => GuildError.is(error, "failed_precondition") && error.line.includes(`npm install --ignore-scripts --prefix ${bare}`),
    );
    await rm(bare, { recursive: true });
  });
});
