import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { type Embedder, type EmbeddingModel, GuildError } from "@guildhall/core";
import { seededRandom, vectorIndexContract } from "@guildhall/core/testing";

import { HybridIndex } from "../retrieval/hybrid-index.ts";
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
    while (server.pid === pid) await sleep(5); // what still runs might answer
    const [hit] = await one.search(vector(1, 0, 0, 0), 5);
    assert.equal(hit?.id, "a");
    assert.notEqual(server.pid, pid);
    assert.match(one.kind, /^chroma 1\./);
  });

  it("ends with whoever started it, at whatever moment that is killed", async (t) => {
    const random = seededRandom();
    t.diagnostic(`seed ${random.seed}`);
    const directory = join(root, "orphaned");
    const program = `
      import { chromaServer } from ${JSON.stringify(new URL("./chroma-server.ts", import.meta.url).href)};
      const [, runtimeDir] = process.argv;
      const server = chromaServer({ directory: runtimeDir + "/data", runtimeDir, warn: () => undefined });
      process.stdout.write("begun");
      await server.client().version();
      process.stdout.write("there");`;
    await mkdir(directory);
    for (const wait of ["there", random.below(60), random.below(60)]) {
      const owner = spawn(process.execPath, ["--input-type=module", "-e", program, directory], { stdio: ["ignore", "pipe", "inherit"] });
      let said = "";
      owner.stdout.on("data", (text: Buffer) => (said += text.toString()));
      while (!said.includes(typeof wait === "string" ? wait : "begun")) await sleep(5);
      if (typeof wait === "number") await sleep(wait);
      owner.kill("SIGKILL");
      await once(owner, "exit");
      while ((await running(directory)).length > 0) await sleep(20);
    }
  });

  it("is filled with what changed alone when it is opened again, and whole when its vectors are gone or were another model's", async () => {
    const embedded: string[] = [];
    const embedder: Embedder = {
      model,
      embed: async (texts) => {
        embedded.push(...texts);
        return texts.map((text) => vector(...[text.length % 7, 1, 2, 3].map((value, _, all) => value / Math.hypot(...all))));
      },
      close: () => Promise.resolve(),
    };
    const place: { index?: HybridIndex } = {};
    const lost: string[] = [];
    const opened = async (texts: Record<string, string>): Promise<number> => {
      const before = embedded.length;
      delete place.index;
      const vectors = await openChromaIndex(server.client(), model, "again", (why) => {
        lost.push(why);
        place.index?.refill();
      });
      const index = new HybridIndex({ profile: "prose", embedder, vectors });
      place.index = index;
      index.add(Object.entries(texts).map(([id, text]) => ({ id, text })));
      await index.settled();
      assert.equal(await vectors.size(), Object.keys(texts).length);
      return embedded.length - before;
    };
    const texts = Object.fromEntries(Array.from({ length: 130 }, (_, at) => [`n${at}`, `Note number ${at}.`]));
    assert.equal(await opened(texts), 130);
    assert.equal(await opened({ ...texts, n7: "Another text.", more: "One more." }), 2);
    // The collection goes from below it, as when the directory was damaged and set aside.
    const title = `guildhall-${createHash("sha256").update(`again\0${model.id}\0${model.dimension}`).digest("hex").slice(0, 40)}`;
    await server.client().drop(title);
    place.index?.add([{ id: "last", text: "The last one." }]);
    await place.index?.settled();
    await place.index?.settled();
    assert.deepEqual([lost, place.index?.lag], [["its collection was gone"], 0]);
    // Somebody else has put vectors of three numbers there, under another model's name.
    await server.client().drop(title);
    const foreign = await server.client().collection(title, { model: "other", dimension: 3 });
    await server.client().upsert(foreign.id, [{ id: "n1", vector: vector(1, 0, 0) }]);
    assert.equal(await opened(texts), 130);
    // And once more under this model's name.
    await server.client().drop(title);
    const wrong = await server.client().collection(title, { model: model.id, dimension: model.dimension });
    await server.client().upsert(wrong.id, [{ id: "n1", vector: vector(1, 0, 0) }]);
    await opened(texts);
    assert.deepEqual(lost.slice(1), ["it held vectors of another model", "its vectors had another dimension"]);
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

/** Processes that were started with a path below this directory. */
async function running(directory: string): Promise<string[]> {
  const lines = await Promise.all(
    (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")), // ended meanwhile
  );
  return lines.filter((line) => line.includes(`${directory}/`));
}
