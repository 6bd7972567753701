import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { type EmbeddingModel, GuildError } from "@guildhall/core";
import { vectorIndexContract } from "@guildhall/core/testing";

import { chromaClient } from "./chroma-client.ts";
import { openChromaIndex } from "./chroma-index.ts";
import { type ChromaServer, chromaServer } from "./chroma-server.ts";

const model: EmbeddingModel = { id: "test", dimension: 4 };
const vector = (...values: number[]) => Float32Array.from(values);

describe("Chroma as a child of ours", () => {
  let root: string;
  let server: ChromaServer;
  let next = 0;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "guild-chroma-"));
    server = chromaServer({ directory: join(root, "data"), runtimeDir: root, warn: () => undefined });
  });
  after(async () => {
    await server.close();
    await rm(root, { recursive: true });
  });

  vectorIndexContract("Chroma", async (of, directory) => {
    const saved =
      directory === undefined
        ? undefined
        : (JSON.parse(await readFile(join(directory, "chroma.json"), "utf8")) as { name: string; model: EmbeddingModel });
    if (saved !== undefined && saved.model.id !== of.id) throw new GuildError("failed_precondition", "of another model");
    return await openChromaIndex(server.client(), of, saved?.name ?? `contract ${(next += 1)}`);
  });

  it("keeps tenants and models apart, and comes back with its data after it was killed", async () => {
    const [one, two] = [await openChromaIndex(server.client(), model, "one"), await openChromaIndex(server.client(), model, "two")];
    await one.add([{ id: "a", vector: vector(1, 0, 0, 0) }]);
    assert.deepEqual(await two.search(vector(1, 0, 0, 0), 5), []);
    const { pid } = server;
    assert.ok(pid !== undefined);
    process.kill(pid, "SIGKILL");
    const [hit] = await one.search(vector(1, 0, 0, 0), 5);
    assert.equal(hit?.id, "a");
    assert.notEqual(server.pid, pid);
    assert.match(one.kind, /^chroma 1\./);
  });

  it("is out of reach but through its socket, and ends with it", async () => {
    await server.client().version();
    await assert.rejects(chromaClient({ url: "http://127.0.0.1:8000" }).version());
    await server.close();
    assert.equal(existsSync(join(root, "chroma.sock")), false);
    await assert.rejects(server.client().version(), (error) => GuildError.is(error, "unavailable"));
  });

  it("sets a damaged directory aside and begins anew", async () => {
    const directory = join(root, "damaged");
    await writeFile(directory, "no directory");
    const warned: string[] = [];
    const again = chromaServer({ directory: join(root, "again"), runtimeDir: root, warn: (line) => warned.push(line) });
    const index = await openChromaIndex(again.client(), model, "x");
    await index.add([{ id: "a", vector: vector(1, 0, 0, 0) }]);
    await again.close();
    for (const name of await readdir(join(root, "again")))
      if (name.includes("sqlite")) await writeFile(join(root, "again", name), "damaged ".repeat(10_000));
    const repaired = chromaServer({ directory: join(root, "again"), runtimeDir: root, warn: (line) => warned.push(line) });
    const empty = await openChromaIndex(repaired.client(), model, "x");
    assert.equal(await empty.size(), 0);
    assert.match(warned[0] ?? "", /set aside/);
    await repaired.close();
  });
});

describe("a Chroma server by its URL", () => {
  it("is given token, tenant and database, and its refusals are told as what they are", async () => {
    const seen: Array<{ url: string; token: unknown }> = [];
    const fake = createServer((request, response) => {
      seen.push({ url: request.url ?? "", token: request.headers["x-chroma-token"] });
      response.statusCode = request.headers["x-chroma-token"] === "right" ? 200 : 403;
      response.end(request.url?.endsWith("/count") === true ? "3" : '{"error":"no"}');
    });
    await new Promise<void>((resolve) => fake.listen(0, "127.0.0.1", resolve));
    const { port } = fake.address() as { port: number };
    const url = `http://127.0.0.1:${port}`;
    assert.equal(await chromaClient({ url, token: "right", tenant: "team", database: "facts" }).count("c"), 3);
    assert.equal(seen[0]?.url, "/api/v2/tenants/team/databases/facts/collections/c/count");
    await assert.rejects(chromaClient({ url, token: "wrong" }).count("c"), (error) => GuildError.is(error, "unauthenticated"));
    fake.close();
    fake.closeAllConnections();
    await assert.rejects(chromaClient({ url }).count("c"), (error) => GuildError.is(error, "unavailable"));
  });
});
