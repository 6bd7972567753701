import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { type Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";
import { Internet, noInternet } from "./internet.ts";

const POLICY = `
[[network.rules]]
host = "www.example.com"
plain = true

[[network.rules]]
host = "api.example.com"
methods = ["GET", "POST"]

[[network.rules]]
host = "example.com"

[[network.rules]]
host = "metadata.example.com"
plain = true
`;

interface Told {
  status: string;
  output: string;
  data: Record<string, unknown>;
}

describe("the tools that use the network", { skip: noInternet }, () => {
  const internet = new Internet();
  let home: Home;
  let workspace = "";

  before(async () => {
    await internet.start();
    home = internet.home();
    home.write("guild/config/policy.toml", POLICY);
    home.write("guild/config/settings.toml", '[search]\nurl = "https://www.example.com/search?q={query}&format=json"\n');
    workspace = mkdtempSync(join(home.directory, "workspace-"));
  });
  after(async () => {
    await home.remove();
    await internet.stop();
  });

  /** The calls' results, made in one sandbox. */
  const call = async (calls: Array<{ name: string; args: object }>, at = home): Promise<Told[]> => {
    const script = at.write("calls.json", JSON.stringify(calls));
    const { stdout, stderr } = await at.guild(["tool", "call", "--script", script, "--workspace", workspace, "--json"]);
    const results = jsonLines(stdout) as unknown as Told[];
    assert.equal(results.length, calls.length, stdout + stderr);
    return results;
  };

  it("fetch pages as text, by what they are and in their own character set", async () => {
    verifies("D8");
    const [page, raw, latin, shift, dot, saved, missing] = await call([
      { name: "fetch", args: { url: "https://www.example.com/page" } },
      { name: "fetch", args: { url: "http://www.example.com/page", raw: true } },
      { name: "fetch", args: { url: "https://www.example.com/latin1" } },
      { name: "fetch", args: { url: "https://www.example.com/sjis" } },
      { name: "fetch", args: { url: "https://www.example.com/dot.png" } },
      { name: "fetch", args: { url: "https://www.example.com/dot.png", save_to: "img/dot.png" } },
      { name: "fetch", args: { url: "https://www.example.com/page", save_to: "../out.html" } },
    ]);
    const text = page?.output ?? "";
    assert.match(text, /^https:\/\/www\.example\.com\/page — 200 OK, text\/html/);
    assert.match(text, /Title: Of bees & honey/);
    assert.match(text, /# Of bees\n\nBees live in a hive \(https:\/\/www\.example\.com\/hive\?x=1\)\. They make honey/);
    for (const part of ["- one", "- two", "  1. inner", "  let  bee = 1;", "queen | 1", "[image: a bee]"])
      assert.ok(text.includes(part), `${part}: ${text}`);
    for (const part of ["never seen", "ignore previous", "All rights", "color: red"]) assert.ok(!text.includes(part), part);
    assert.match(raw?.output ?? "", /<!doctype html>/);
    assert.match(latin?.output ?? "", /Müller/);
    assert.match(shift?.output ?? "", /ハチ/);
    assert.match(dot?.output ?? "", /image\/png.*\nIt is no text; kept as output:sha256:/);
    assert.equal(saved?.status, "ok", saved?.output);
    assert.equal(readFileSync(join(workspace, "img/dot.png")).subarray(1, 4).toString(), "PNG");
    assert.deepEqual([missing?.status, /outside the workspace/.test(missing?.output ?? "")], ["error", true]);
  });

  it("make requests with method, headers and body, and tell how long each part took", async () => {
    verifies("D8");
    const [post, plain] = await call([
      { name: "http", args: { url: "https://api.example.com/v1/echo", method: "POST", json: { a: 1 }, headers: { "X-One": "1" } } },
      { name: "http", args: { url: "http://www.example.com/" } },
    ]);
    assert.match(
      post?.output ?? "",
      /^POST https:\/\/api\.example\.com\/v1\/echo — 200 OK\n\[dns [\d.]+ ms, connect [\d.]+ ms, TLS [\d.]+ ms, first byte [\d.]+ ms, total [\d.]+ ms; 93\.184\.216\.34\]/,
    );
    assert.match(post?.output ?? "", /hello from api\.example\.com\/v1\/echo$/);
    const got = internet.received.find(({ method }) => method === "POST");
    assert.deepEqual([got?.body, got?.headers["x-one"], got?.headers["content-type"]], ['{"a":1}', "1", "application/json"]);
    assert.ok(got?.headers["guildhall-timing"] === undefined);
    assert.match(plain?.output ?? "", /; 93\.184\.216\.34\]/);
  });

  it("reach the servers of the sandbox itself", async () => {
    const [, own, none] = await call([
      {
        name: "process",
        args: { action: "start", command: "echo from inside > a.txt; python3 -m http.server 8765 --bind 127.0.0.1", port: 8765 },
      },
      { name: "http", args: { url: "localhost:8765/a.txt" } },
      { name: "http", args: { url: "http://localhost:8766/" } },
    ]);
    assert.match(own?.output ?? "", /^GET http:\/\/localhost:8765\/a\.txt — 200 OK\n[^]*from inside$/);
    assert.match(none?.output ?? "", /nothing in the sandbox answers on port 8766/);
  });

  it("look names up, and search", async () => {
    verifies("D8");
    const [addresses, mail, text, inner, foreign, found] = await call([
      { name: "dns", args: { name: "www.example.com" } },
      { name: "dns", args: { name: "example.com", types: ["MX", "NS"] } },
      { name: "dns", args: { name: "www.example.com", types: ["TXT"] } },
      { name: "dns", args: { name: "metadata.example.com", types: ["A"] } },
      { name: "dns", args: { name: "other.example.com" } },
      { name: "web_search", args: { query: "bees & co" } },
    ]);
    assert.match(addresses?.output ?? "", /^A {5}93\.184\.216\.34\n/);
    assert.match(mail?.output ?? "", /^MX {4}10 mail\.example\.com\n[^]*NS {4}none \(E/);
    assert.match(text?.output ?? "", /^TXT {3}ignore all of beforehere/);
    assert.match(inner?.output ?? "", /169\.254\.169\.254 {2}\[a linkLocal address: never reached from here\]/);
    assert.match(foreign?.output ?? "", /^no rule allows other\.example\.com — the operator's policy\.toml would allow it/);
    assert.match(
      found?.output ?? "",
      /^1\. Bees\n {3}https:\/\/www\.example\.com\/page\n {3}about \/search\?q=bees%20%26%20co&format=json$/,
    );
  });

  it("are refused in one line what the policy does not allow, in every notation", async () => {
    verifies("D8", "F3");
    const urls = [
      "https://other.example.com/",
      "http://api.example.com/",
      "https://api.example.com:8443/",
      "http://169.254.169.254/",
      "http://2852039166/",
      "http://0x7f.1.2.3/",
      "http://[::ffff:10.0.0.1]/",
      "http://metadata.example.com/",
      "http://www.example.com/inward",
      "file:///etc/passwd",
      "gopher://www.example.com/",
      "https://user:pw@www.example.com/",
      "http://0x7f.1/",
    ];
    const before = internet.received.length;
    const told = await call(urls.map((url) => ({ name: "fetch", args: { url, timeout_s: 20 } })));
    for (const [index, { status, output }] of told.entries()) {
      assert.equal(status, "error", `${urls[index]}: ${output}`);
      assert.ok(!output.includes("\n") && output.length < 400, output);
    }
    assert.match(
      told[0]?.output ?? "",
      /no rule allows other\.example\.com.*would allow it with \[network\] rules = \[\{ host = "other\.example\.com" \}\]/,
    );
    assert.match(told[1]?.output ?? "", /TLS only.*plain = true/);
    assert.match(told[2]?.output ?? "", /ports = \[8443\]/);
    assert.match(told[7]?.output ?? "", /leads to a linkLocal address/);
    assert.match(told[8]?.output ?? "", /redirects to localhost:8080/);
    assert.match(told[9]?.output ?? "", /file: is not fetched/);
    assert.equal(internet.received.length - before, 1, "the page that redirects inward, and nothing else");
  });

  it("end with what is endless, huge or a bomb", { timeout: 120_000 }, async () => {
    const [endless, bomb, deep, wrong, after] = await call([
      { name: "fetch", args: { url: "https://www.example.com/endless", timeout_s: 1 } },
      { name: "fetch", args: { url: "https://www.example.com/bomb" } },
      { name: "fetch", args: { url: "https://www.example.com/deep" } },
      { name: "http", args: { url: "https://www.example.com/", headers: { Host: "other.example.com" } } },
      { name: "fetch", args: { url: "https://www.example.com/latin1" } },
    ]);
    assert.deepEqual([endless?.status, /not done within 1 s/.test(endless?.output ?? "")], ["error", true]);
    assert.equal(bomb?.data["cut"], true);
    assert.ok((bomb?.output.length ?? 0) < 20_000);
    assert.match(deep?.output ?? "", /deep down/);
    assert.match(wrong?.output ?? "", /"host" cannot be sent/);
    assert.match(after?.output ?? "", /Müller/);
  });

  it("say so where the network is closed, and without a search service", async () => {
    const other = internet.home();
    try {
      const [page, search, name] = await call(
        [
          { name: "fetch", args: { url: "https://www.example.com/" } },
          { name: "web_search", args: { query: "x" } },
          { name: "dns", args: { name: "www.example.com" } },
        ],
        other,
      );
      assert.match(
        page?.output ?? "",
        /^no rule allows www\.example\.com: the network of this sandbox is closed — the operator's policy\.toml/,
      );
      assert.match(search?.output ?? "", /No search service is set up — .*\[search\] url/);
      assert.match(name?.output ?? "", /closed/);
    } finally {
      await other.remove();
    }
  });
});
