import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

interface Stats {
  items: number;
  embedding_lag: number;
  vector_store: string;
  embeddings: { model: string; dimension: number; spec: string; answering: string; tokens: number };
}

describe("another embedder", () => {
  let home: Home;
  let server: Server;
  let url = "";
  const asked: string[] = [];
  const released = Promise.withResolvers<void>();
  before(async () => {
    home = new Home();
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { input } = JSON.parse(Buffer.concat(chunks).toString()) as { input: string[] };
        asked.push(...input);
        const data = input.map((text, index) => ({ index, embedding: [1, text.length, text.charCodeAt(0), 2] }));
        const answer = JSON.stringify({ data, usage: { prompt_tokens: 7 } });
        const give = (): void => void response.writeHead(200, { "content-type": "application/json" }).end(answer);
        released.promise.then(give, give);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  });
  after(async () => {
    released.resolve();
    await home.remove();
    server.close();
    server.closeAllConnections();
  });

  const run = async (...args: string[]): Promise<string> => {
    const done = await home.guild(args);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    return done.stdout;
  };
  const settings = (address: string, embedder = "openai-compatible/tiny"): void =>
    void home.write(
      "guild/config/settings.toml",
      `[knowledge]\nembedder = "${embedder}"\nembedder_url = "${address}"\nembedder_dimension = 4\n`,
    );
  const stats = async (): Promise<Stats> => jsonLines(await run("knowledge", "stats", "--json"))[0] as unknown as Stats;
  const until = async (holds: (now: Stats) => boolean): Promise<Stats> => {
    for (let attempt = 0; ; attempt += 1) {
      const now = await stats();
      if (holds(now) || attempt === 200) return now;
      await sleep(250);
    }
  };

  it("makes all vectors anew behind the one of before, which answers until then; both are told", async () => {
    verifies("C3");
    for (const fact of ["Releases are cut on Thursdays.", "The staging database listens on port 6543.", "Ada owns the uploader."])
      await run("knowledge", "add", fact, "--scope", "global");
    await run("knowledge", "rebuild");
    const first = await until((now) => now.items === 3 && now.embedding_lag === 0 && now.embeddings.answering === "");
    assert.deepEqual([first.items, first.embeddings.model, first.embeddings.answering, first.embedding_lag], [3, "use-lite", "", 0]);

    await run("down");
    settings(url);
    const turning = await stats();
    assert.deepEqual([turning.embeddings.model, turning.embeddings.dimension], ["openai-compatible/tiny", 4]);
    assert.deepEqual([turning.embeddings.answering, turning.embedding_lag], ["use-lite", 3]);
    assert.match(await run("knowledge", "stats"), /embedding anew: 0 of 3 items; until then the vectors of use-lite answer/);
    const query = "on which port is the database";
    assert.match(await run("knowledge", "search", query), /6543/);
    assert.ok(!asked.includes(query), "the former model answers");

    released.resolve();
    const done = await until((now) => now.embedding_lag === 0);
    await run("knowledge", "search", query);
    assert.ok(asked.includes(query), "the new one answers");
    assert.equal((await stats()).embeddings.answering, "");
    assert.equal(done.embeddings.spec, "openai-compatible/tiny");
    assert.ok(done.embeddings.tokens >= 7);
    assert.match(await run("doctor"), /embeddings: openai-compatible\/tiny \(4 numbers\)/);

    await run("down");
    assert.equal((await stats()).embeddings.answering, "", "done once");
  });

  it("that is away is told, and search is by words meanwhile", async () => {
    await run("down");
    settings("http://127.0.0.1:1/v1");
    const found = await run("knowledge", "search", "database port");
    assert.match(found, /6543/);
    const doctor = await home.guild(["doctor"]);
    assert.match(doctor.stdout, /openai-compatible\/tiny cannot be used: the embedding server cannot be reached/);
    await run("down");
    settings("", "anthropic/claude-sonnet-5");
    assert.match(await run("knowledge", "stats"), /embeddings: none, search is by words alone \(anthropic\/claude-sonnet-5\)/);
    assert.match(await run("knowledge", "search", "database port"), /6543/);
  });
});
