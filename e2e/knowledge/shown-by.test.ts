import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Home, jsonLines } from "../cli/guild.ts";
import { pidOf, type Service, ServiceSystem } from "../services/system.ts";
import { verifies } from "../verifies.ts";

type Line = Record<string, unknown>;

const SECRET = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
const learning = `
steps:
  - say: "The uploader fails when the staging database is asleep because its pool never reconnects."
    calls: [{ tool: bash, args: { command: "echo token ${SECRET}" } }]
  - calls: [{ tool: remember, args: { text: "Integration tests need the staging database on port 6543 and the token ${SECRET}; see db.conf.", title: Database } }]
  - calls: [{ tool: finish, args: { summary: "Uploads work again; the fix was to reconnect the pool after each sleep." } }]
`;
const using = `
steps:
  - calls: [{ tool: recall, args: { query: "port of the staging database for integration tests" } }]
  - expect: { contains: "6543" }
    calls: [{ tool: finish, args: { summary: "used what was known" } }]
`;

describe("two workshops and a knowledge service between them", () => {
  const system = new ServiceSystem();
  let one: Home;
  let two: Home;
  let directory: string;
  let service: Service;
  const env = { GUILD_KNOWLEDGE_VECTORS: "memory" };
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "guild-shown-"));
    service = await system.start("knowledge", ["knowledge"], { env });
    [one, two] = [new Home(), new Home()];
    const settings = `[knowledge]\nremotes = "${service.address}"\nremote_token = "${system.token}"\nvectors = "memory"\n`;
    for (const home of [one, two]) home.write("guild/config/settings.toml", settings);
  });
  after(async () => {
    await one.remove();
    await two.remove();
    await system.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const know = async (home: Home, ...args: string[]): Promise<Line[]> => {
    const done = await home.guild(["knowledge", ...args, "--json"]);
    assert.equal(done.code, 0, done.stderr);
    return jsonLines(done.stdout);
  };
  const work = async (home: Home, script: string, goal: string): Promise<Line[]> => {
    const model = join(directory, `${goal.length}.yaml`);
    writeFileSync(model, script);
    const options = ["--workspace", join(directory, "uploader"), "--sandbox", "host", "--yes", "--model", `scripted:${model}`, "--json"];
    const done = await home.guild(["run", goal, ...options]);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    const [session] = jsonLines((await home.guild(["session", "list", "--json"])).stdout);
    return jsonLines((await home.guild(["session", "events", String(session?.["id"]), "--json"])).stdout);
  };
  const found = async (home: Home, query: string): Promise<Line> => {
    for (let attempt = 0; attempt < 300; attempt += 1) {
      const [best] = await know(home, "search", query);
      if (best !== undefined) return best;
      await sleep(200);
    }
    assert.fail(`nothing became known of ${query}`);
  };

  it("a session is helped by what another learned while the service was gone, with the evidence; the secret arrives nowhere", async () => {
    verifies("C6", "C9", "C11");
    mkdirSync(join(directory, "uploader"));
    writeFileSync(join(directory, "uploader/db.conf"), "port = 6543\n");
    const { port } = service;
    process.kill(pidOf(service), "SIGKILL");
    await service.ended;
    await work(one, learning, "Make the uploads work.");
    const fact = await found(one, "staging database port");

    service = await system.start("knowledge", ["knowledge"], { env, port });
    const there = await found(two, "staging database port");
    assert.equal(there["id"], fact["id"], "it came by itself");
    const shown = await two.guild(["knowledge", "show", String(there["id"])]);
    assert.match(shown.stdout, /session ses_\w+, events \d+/);
    assert.match(shown.stdout, /file db\.conf sha256:/);
    const events = JSON.stringify(await work(two, using, "Run the integration tests against the staging database."));
    assert.match(events, new RegExp(`${String(fact["id"])}, known`));
    assert.match(events, /staging database on port 6543/);

    assert.match(String(there["text"]), /\*\*\*|\[secret\]/);
    for (const place of [two.directory, system.home.directory, one.directory]) {
      const grep = spawnSync("grep", ["-rlaF", SECRET, place], { encoding: "utf8" });
      assert.deepEqual([grep.status, grep.stdout], [1, ""], `found in ${grep.stdout}`);
    }
  });

  it("a planted contradiction is settled by each strategy, and the loser stays in history", async () => {
    verifies("C10");
    const plant = async (text: string, ...options: string[]) =>
      String((await know(one, "add", text, "--scope", "global", ...options))[0]?.["id"]);
    const trusted = await plant("The release train leaves at 08:00.", "--confidence", "0.9", "--tag", "old");
    const newer = await plant("The release train leaves at 09:30.", "--confidence", "0.4", "--tag", "new");
    const [clash] = (await know(one, "conflicts")).filter((line) => JSON.stringify(line).includes(trusted));
    const states = async () => Promise.all([trusted, newer].map(async (id) => (await know(one, "show", id))[0]?.["state"]));
    assert.deepEqual(await states(), ["valid", "valid"], "ask: a person has to say");
    const waiting = jsonLines((await one.guild(["approval", "list", "--json"])).stdout).filter((line) => line["tool"] === "knowledge");
    assert.equal(waiting.length, 1);
    const settle = (...how: string[]) => know(one, "conflicts", "--settle", String(clash?.["id"]), ...how);
    await settle("--strategy", "newest");
    assert.deepEqual(await states(), ["superseded", "valid"]);
    await settle("--strategy", "most_trusted");
    assert.deepEqual(await states(), ["valid", "superseded"]);
    await settle("--strategy", "keep_both");
    assert.deepEqual(await states(), ["valid", "valid"]);
    await settle("--strategy", "per_field");
    assert.deepEqual(await states(), ["superseded", "valid"]);
    const [merged] = await know(one, "show", newer);
    assert.deepEqual(
      [merged?.["text"], merged?.["confidence"], merged?.["tags"]],
      ["The release train leaves at 09:30.", 0.9, ["new", "old"]],
      "the newer text, and what the other said more",
    );
    assert.equal((await know(one, "history", trusted)).length, 1);
    await found(two, "release train leaves");
    for (let attempt = 0; attempt < 100 && (await know(two, "show", trusted))[0]?.["state"] !== "superseded"; attempt += 1)
      await sleep(100);
    assert.equal((await know(two, "show", trusted))[0]?.["state"], "superseded", "settled everywhere");
  });
});
