import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

type Line = Record<string, unknown>;

const DOCUMENT = 100 * 2 ** 20;

describe("what is known, when what it stands on fails or what it is given makes no sense", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  const know = async (...args: string[]): Promise<Line[]> => {
    const done = await home.guild(["knowledge", ...args, "--json"]);
    assert.equal(done.code, 0, done.stderr);
    return jsonLines(done.stdout);
  };
  const found = async (query: string) => String((await know("search", query))[0]?.["text"]);
  const stats = async () => (await know("stats"))[0] ?? {};
  /** Vectors come when it is quiet. */
  const embedded = async () => {
    for (let attempt = 0; attempt < 300; attempt += 1) {
      const now = await stats();
      if (now["embedding_lag"] === 0 && String(now["vector_store"]).startsWith("chroma 1.")) return;
      await sleep(200);
    }
    assert.fail(`not embedded: ${JSON.stringify(await stats())}`);
  };
  /** Processes below this home that have `word` on their command line. */
  const processes = (word: string): number[] =>
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => {
        try {
          const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
          return line.includes(word) && (line + readFileSync(`/proc/${pid}/environ`, "utf8")).includes(home.directory);
        } catch {
          return false; // It has ended.
        }
      })
      .map(Number);

  it("goes on when Chroma is killed, and when its directory is damaged: vectors are made again by themselves", async () => {
    verifies("C5");
    const facts = [
      "The night train leaves from platform nine.",
      "Herons stand on one leg while they sleep.",
      "The bakery opens before sunrise.",
    ];
    for (const fact of facts) await know("add", fact, "--scope", "global");
    await embedded();
    const children = processes("chroma-child");
    assert.ok(children.length > 0, "Chroma runs");
    for (const pid of children) process.kill(pid, "SIGKILL");
    assert.equal(await found("on which platform is the train"), facts[0]);
    await know("add", "The ferry does not run in winter.", "--scope", "global");
    await embedded();

    await home.guild(["down"]);
    const directory = join(home.directory, "guild/data/chroma");
    for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
      if (/sqlite|\.bin$/.test(name)) writeFileSync(join(directory, name), "damaged ".repeat(1_000));
    }
    assert.equal(await found("on which platform is the train"), facts[0], "by its words at least");
    await embedded();
    const { embeddings } = await stats();
    assert.equal((embeddings as Line)["answering"], "", "by meaning too");
    assert.ok(
      readdirSync(join(home.directory, "guild/data")).some((name) => name.startsWith("chroma") && name !== "chroma"),
      "set aside",
    );
  });

  it("says that a Chroma server is away, and answers by words: an error never looks like nothing", async () => {
    await home.guild(["down"]);
    home.write("guild/config/settings.toml", '[knowledge]\nchroma_url = "http://127.0.0.1:1"\n');
    const done = await home.guild(["knowledge", "search", "heron leg"]);
    assert.equal(done.code, 0);
    assert.match(done.stdout, /Herons stand/);
    assert.match(done.stderr, /^guild: not all took part: .*127\.0\.0\.1:1/);
    const rebuilt = await home.guild(["knowledge", "rebuild"]);
    assert.notEqual(rebuilt.code, 0);
    assert.match(rebuilt.stderr, /^guild: [^\n]+\n$/);
    await home.guild(["down"]);
    home.write("guild/config/settings.toml", "");
  });

  it("refuses a document of 100 MB with one line wherever it is given, and takes little memory for it", async (t) => {
    await stats();
    const resident = () =>
      Math.max(
        ...processes("daemon/main.ts")
          .concat(processes("dist/"))
          .map((pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])),
      );
    const large = join(home.directory, "large.txt");
    const file = openSync(large, "w");
    for (let written = 0; written < DOCUMENT; written += 2 ** 20)
      writeSync(file, "The fact of the matter. ".repeat(43_690).slice(0, 2 ** 20));
    closeSync(file);
    const refused = async (done: Promise<{ code: number | null; stdout: string; stderr: string }>, text: RegExp) => {
      const { code, stdout, stderr } = await done;
      assert.deepEqual([code === 0, stdout], [false, ""]);
      assert.match(stderr, text);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    };
    await refused(home.guild(["knowledge", "add", "-"], { input: readFileSync(large, "utf8") }), /a fact of more than 128 kB.*cut up/);
    await refused(home.guild(["knowledge", "import", large]), /no copy of knowledge|damaged/);
    const workspace = mkdtempSync(join(home.directory, "ws-"));
    writeFileSync(join(workspace, "large.log"), readFileSync(large));
    await refused(
      home.guild(["knowledge", "add", "The log is long.", "--workspace", workspace, "--evidence", join(workspace, "large.log")]),
      /evidence of 100 MiB.*smaller file/,
    );
    // Past the client: a program that sends it whole.
    const [up] = jsonLines((await home.guild(["up", "--json"])).stdout);
    const socketPath = ((up?.["addresses"] ?? []) as string[]).find((each) => each.startsWith("unix:"))?.replace(/^unix:(\/\/)?/, "") ?? "";
    const answer = await new Promise<string>((resolve) => {
      const headers = { "content-type": "application/json", "connect-protocol-version": "1" };
      const request = httpRequest(
        { socketPath, path: "/guildhall.v1.KnowledgeService/AddKnowledge", method: "POST", headers },
        (response) => {
          let text = "";
          response
            .setEncoding("utf8")
            .on("data", (chunk: string) => (text += chunk))
            .on("end", () => resolve(text));
        },
      );
      request.on("error", (error) => resolve(error.message));
      request.end(JSON.stringify({ items: [{ text: readFileSync(large, "utf8"), scope: { kind: "SCOPE_KIND_GLOBAL" } }] }));
    });
    assert.match(answer, /resource_exhausted|EPIPE|ECONNRESET/);
    t.diagnostic(`the daemon takes ${Math.round(resident() / 1_000)} MB`);
    assert.ok(resident() < 700_000, `${resident()} kB`);
    assert.equal(await found("heron leg"), "Herons stand on one leg while they sleep.");
    const said = await home.guild(["knowledge", "add", "-", "--scope", "global"], { input: "A fact from standard input.\n" });
    assert.equal(said.code, 0, said.stderr);
    assert.equal(await found("standard input"), "A fact from standard input.");
  });
});
