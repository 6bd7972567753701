import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";

import type { Home } from "../cli/guild.ts";
import { jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";
import { Internet, noInternet } from "./internet.ts";

const POLICY = `
[[network.rules]]
host = "api.example.com"
methods = ["GET", "HEAD"]
paths = ["/v1/*", "/redirect"]

[[network.rules]]
host = "www.example.com"
plain = true

[[network.rules]]
host = "rebound.example.com"
plain = true

[[network.rules]]
host = "metadata.example.com"
plain = true
`;

describe("the network of a sandbox", { skip: noInternet }, () => {
  const internet = new Internet();
  let home: Home;
  let workspace = "";

  before(async () => {
    await internet.start();
    home = internet.home();
    home.write("guild/config/policy.toml", POLICY);
    workspace = mkdtempSync(join(home.directory, "workspace-"));
  });
  beforeEach(() => void internet.received.splice(0));
  after(async () => {
    await home.remove();
    await internet.stop();
  });

  const inside = async (script: string): Promise<string> => {
    const { stdout, stderr } = await home.guild(["sandbox", "exec", "--workspace", workspace, "--", "bash", "-c", `${script} 2>&1`]);
    return stdout + stderr;
  };
  const get = (url: string, more = ""): Promise<string> => inside(`curl -sS --max-time 30 ${more} '${url}'`);

  it("reaches what the policy allows, by method, path and host, and refuses the rest", async () => {
    verifies("F3");
    assert.equal(await get("https://api.example.com/v1/x?q=1"), "hello from api.example.com/v1/x?q=1\n");
    // Programs that look at the system's authorities alone trust the proxy too.
    assert.equal(
      await inside("env -i HTTPS_PROXY=$HTTPS_PROXY /usr/bin/curl -sS https://api.example.com/v1/y"),
      "hello from api.example.com/v1/y\n",
    );
    assert.equal(await get("http://www.example.com/"), "hello from www.example.com/\n");
    assert.match(await get("https://api.example.com/v2"), /no rule of api\.example\.com allows GET \/v2/);
    assert.match(await get("https://api.example.com/v1/x", "-X POST -d data"), /allows POST \/v1\/x/);
    assert.match(await get("http://api.example.com/v1/x"), /TLS only/);
    assert.match(await get("https://other.example.com/"), /403/);
    assert.match(await get("https://api.example.com/redirect", "-L"), /403/);
    assert.deepEqual(
      internet.received.map(({ method, host, url }) => `${method} ${host}${url}`),
      ["GET api.example.com/v1/x?q=1", "GET api.example.com/v1/y", "GET www.example.com/", "GET api.example.com/redirect"],
    );
  });

  it("reaches no private, loopback or metadata address by whatever name or notation", async () => {
    verifies("F3");
    assert.match(await get("http://rebound.example.com/"), /leads to a loopback address/);
    assert.match(await get("http://metadata.example.com/latest/meta-data"), /leads to a linkLocal address/);
    const addresses = ["169.254.169.254", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]", "93.184.216.34", "10.0.0.1"];
    const script = addresses
      .flatMap((address) => [`curl -sS -g -m 30 http://${address}/`, `curl -sS -g -m 30 https://${address}/`])
      .join("; echo; ");
    const answers = (await inside(`exec 2>&1; ${script}`)).trim().split(/\n+/);
    assert.equal(answers.length, addresses.length * 2, answers.join("\n"));
    for (const answer of answers) assert.match(answer, /guildhall: |403/);
    assert.deepEqual(internet.received, []);
  });

  it("has no other way out than the proxy", async () => {
    verifies("F3");
    assert.match(await get("https://api.example.com/v1/x", "--noproxy '*'"), /Could not resolve|resolve host/);
    assert.match(await get("http://93.184.216.34/", "--noproxy '*'"), /Failed to connect|unreachable|Couldn't connect/);
    assert.match(await inside("exec 3<>/dev/udp/93.184.216.34/53 && echo q >&3 && echo sent"), /unreachable/i);
    assert.deepEqual(internet.received, []);
  });

  it("is closed without a policy: no proxy, no variable, no process", async () => {
    const other = internet.home();
    try {
      const run = await other.guild([
        "sandbox",
        "exec",
        "--workspace",
        workspace,
        "--",
        "bash",
        "-c",
        "env | grep -ci proxy; curl -sS http://www.example.com/ 2>&1; ls /run",
      ]);
      assert.match(run.stdout, /^0\n/, run.stderr);
      assert.match(run.stdout, /resolve/);
      assert.ok(!run.stdout.includes("guildhall-network"));
    } finally {
      await other.remove();
    }
  });

  it("makes every decision of a session an event, and the log replays", async () => {
    verifies("F3");
    const commands = ["curl -sS https://api.example.com/v1/a?private=1", "curl -sS https://other.example.com/b"];
    const calls = commands.map((command) => ({ calls: [{ tool: "bash", args: { command } }] }));
    const finish = { calls: [{ tool: "finish", args: { done: true, summary: "looked" } }] };
    const script = home.write("look.json", JSON.stringify({ description: "Looks outside.", steps: [...calls, finish] }));
    const run = await home.guild(["run", "Look outside.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"]);
    assert.equal(run.code, 0, run.stdout + run.stderr);
    const session = String(jsonLines(run.stdout)[0]?.["id"]);
    const events = jsonLines((await home.guild(["session", "events", session, "--json"])).stdout);
    assert.match(JSON.stringify(events.find(({ kind }) => kind === "session_started")), /The network is open as far as the policy allows/);
    const text = JSON.stringify(events.filter(({ kind }) => kind === "network_decided"));
    for (const part of ['"allowed":true', '"host":"api.example.com"', '"path":"/v1/a"', "no rule allows other.example.com:443"])
      assert.ok(text.includes(part), `${part} in ${text}`);
    assert.ok(!text.includes("private=1"));
    const kinds = events.map(({ kind }) => kind);
    assert.ok(
      kinds.lastIndexOf("network_decided") < kinds.lastIndexOf("action_finished"),
      "stored before what it was decided for has ended",
    );
    const file = join(home.directory, "look.jsonl");
    assert.equal((await home.guild(["session", "export", session, "-o", file])).code, 0);
    const replay = await home.guild(["session", "replay", file, "--json"]);
    assert.equal(jsonLines(replay.stdout)[0]?.["identical"], true, replay.stdout + replay.stderr);
    const told = await home.guild(["session", "events", session]);
    assert.match(told.stdout, /network: CONNECT other\.example\.com:443 refused/);
    assert.match(readFileSync(join(home.directory, "guild/state/daemon.log"), "utf8"), /network: refused/);
  });

  it("refuses to work under a policy that it cannot read", async () => {
    const wrong = internet.home();
    try {
      wrong.write("guild/config/policy.toml", '[[network.rules]]\nhots = "x"\n');
      const run = await wrong.guild(["sandbox", "exec", "--workspace", workspace, "--", "true"]);
      assert.equal(run.code, 2, run.stderr);
      assert.match(run.stderr, /^guild: network\.rules\[0\]\.hots: there is no such key .*policy\.toml.*\n$/);
      assert.equal(run.stderr.trim().split("\n").length, 1);
    } finally {
      await wrong.remove();
    }
  });
});
