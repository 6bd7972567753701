import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";

import { GuildError } from "@guildhall/core";
import { embedderContract } from "@guildhall/core/testing";

import { ollamaEmbedder, openAiEmbedder } from "./http-embedder.ts";

const DIMENSION = 8;

/** Answers both dialects with vectors made of the text's characters; the first `failures` requests with 503. */
class FakeServer {
  readonly requests: Array<{ path: string; authorization: string | undefined; inputs: number }> = [];
  failures = 0;
  dimension = DIMENSION;
  readonly #server: Server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => (text += chunk));
    request.on("end", () => {
      const { input } = JSON.parse(text) as { input: string[] };
      this.requests.push({ path: request.url ?? "", authorization: request.headers.authorization, inputs: input.length });
      if (this.failures > 0) {
        this.failures -= 1;
        response.writeHead(503).end("loading the model");
        return;
      }
      const vectors = input.map((one) => this.#vector(one));
      const answer =
        request.url === "/api/embed"
          ? { embeddings: vectors }
          : { data: vectors.map((embedding, index) => ({ index, embedding })).toReversed(), object: "list" };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
    });
  });

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #vector(text: string): number[] {
    const vector = Array.from({ length: this.dimension }, () => 0.5);
    for (let at = 0; at < text.length; at += 1)
      vector[text.charCodeAt(at) % this.dimension] = (vector[text.charCodeAt(at) % this.dimension] ?? 0) + 1;
    return vector;
  }
}

const server = new FakeServer();
let url = "";
before(async () => {
  url = await server.listen();
});
after(() => server.close());

embedderContract("an OpenAI-compatible server", () => openAiEmbedder({ baseUrl: `${url}/v1/`, model: "m" }));
embedderContract("Ollama", () => ollamaEmbedder({ baseUrl: url, model: "m" }));

describe("embedders over HTTP", () => {
  it("ask for the dimension once, send the key, and cut a long list into requests", async () => {
    server.requests.length = 0;
    const embedder = await openAiEmbedder({ baseUrl: `${url}/v1`, model: "m", apiKey: "k", batch: 2 });
    assert.deepEqual(embedder.model, { id: "openai-compatible/m", dimension: DIMENSION });
    await embedder.embed(["a", "", "b", "c"]);
    const request = (inputs: number) => ({ path: "/v1/embeddings", authorization: "Bearer k", inputs });
    assert.deepEqual(server.requests, [request(1), request(2), request(1)]);
    await embedder.close();
  });

  it("try again while the server is not ready, and say what is wrong when it stays so", async () => {
    const embedder = await ollamaEmbedder({ baseUrl: url, model: "m", dimension: DIMENSION, retryMs: 1 });
    server.failures = 2;
    assert.equal((await embedder.embed(["a"])).length, 1);
    server.failures = 3;
    await assert.rejects(embedder.embed(["a"]), (error) => GuildError.is(error, "unavailable") && error.line.includes("loading the model"));
    server.failures = 0;
  });

  it("refuse vectors of another dimension than they were opened with", async () => {
    const embedder = await ollamaEmbedder({ baseUrl: url, model: "m" });
    server.dimension = 4;
    await assert.rejects(embedder.embed(["a"]), (error) => GuildError.is(error, "failed_precondition"));
    server.dimension = DIMENSION;
  });

  it("tell a server that is not there from an answer", async () => {
    const gone = ollamaEmbedder({ baseUrl: "http://127.0.0.1:1", model: "m", retryMs: 1 });
    await assert.rejects(gone, (error) => GuildError.is(error, "unavailable"));
  });
});
