import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Home, jsonLines, repository } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

type Line = Record<string, unknown>;

const learning = `
steps:
  - say: "The uploader fails when the staging database is asleep because its pool never reconnects."
    calls: [{ tool: remember, args: { text: "Integration tests need the staging database on port 6543; see db.conf.", title: Database } }]
  - calls: [{ tool: bash, args: { command: "echo token ghp_abcdefghijklmnopqrstuvwxyz0123456789" } }]
  - calls: [{ tool: remember, args: { text: "The deploy token is ghp_abcdefghijklmnopqrstuvwxyz0123456789 and ada@lovelace.org keeps it; it must be renewed every ninety days at the registry, or uploads of the nightly build fail." } }]
  - calls: [{ tool: finish, args: { summary: "Uploads work again; the fix was to reconnect the pool after each sleep." } }]
`;
const using = `
steps:
  - calls: [{ tool: recall, args: { query: "port of the staging database for integration tests" } }]
  - expect: { contains: "6543" }
    calls: [{ tool: bash, args: { command: "test 6543 = $(cut -d= -f2 db.conf)" } }]
  - calls: [{ tool: finish, args: { summary: "used what was known" } }]
`;

describe("what the workshop knows", () => {
  let home: Home;
  let workspace: string;
  before(() => {
    home = new Home();
    workspace = mkdtempSync(join(home.directory, "project-"));
  });
  after(() => home.remove());

  const know = async (...args: string[]): Promise<Line[]> => {
    const done = await home.guild(["knowledge", ...args, "--json"], { cwd: workspace });
    assert.equal(done.code, 0, done.stderr);
    return jsonLines(done.stdout);
  };
  const one = async (...args: string[]): Promise<Line> => (await know(...args))[0] ?? {};
  const work = async (script: string, goal: string): Promise<Line[]> => {
    const file = home.write(`script-${goal.length}.yaml`, script);
    const done = await home.guild([
      "run",
      goal,
      "--workspace",
      workspace,
      "--sandbox",
      "host",
      "--yes",
      "--model",
      `scripted:${file}`,
      "--json",
    ]);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    const [session] = jsonLines((await home.guild(["session", "list", "--json"])).stdout);
    return jsonLines((await home.guild(["session", "events", String(session?.["id"]), "--json"])).stdout);
  };
  /** What is distilled comes when it is quiet. */
  const found = async (query: string): Promise<Line> => {
    for (let attempt = 0; attempt < 100; attempt += 1) {
      const [best] = await know("search", query);
      if (best !== undefined) return best;
      await sleep(200);
    }
    assert.fail(`nothing became known of ${query}`);
  };

  it("comes from finished sessions, with evidence, and helps the next one; what is secret or personal goes nowhere", async () => {
    verifies("C2", "C6", "C8", "C11", "C12");
    writeFileSync(join(workspace, "db.conf"), "port = 6543\n");
    await work(learning, "Make the uploads work.");
    const fact = await found("staging database port");
    const shown = await one("show", String(fact["id"]));
    assert.equal(shown["text"], "Integration tests need the staging database on port 6543; see db.conf.");
    const evidence = shown["evidence"] as string[];
    assert.match(evidence[0] ?? "", /^session ses_\w+, events \d+/);
    assert.match(evidence[1] ?? "", /^file db\.conf sha256:/);
    assert.match(String((await found("pool reconnects sleep"))["author"]), /^session:ses_/);

    const events = await work(using, "Run the integration tests against the staging database.");
    const notice = events.find((event) => event["kind"] === "notice_given" && JSON.stringify(event).includes('"memory"'));
    assert.match(JSON.stringify(notice), /staging database on port 6543/, "it was told before it asked");
    assert.match(JSON.stringify(events), new RegExp(`${String(fact["id"])}, known`));

    // A validation that passed after the fact was used confirms it.
    const uses = async () => ((await one("why", String(fact["id"])))["parts"] as Line[]).find((part) => part["name"] === "use")?.["text"];
    for (let attempt = 0; attempt < 100 && (await uses()) !== "1 uses, 1 confirmed"; attempt += 1) await sleep(200);
    assert.equal(await uses(), "1 uses, 1 confirmed");

    const renewed = await found("token renewed ninety days registry");
    assert.match(String(renewed["text"]), /\[secret\].*\[mail\]|\*\*\*.*\[mail\]/);
    const copy = await home.guild(["knowledge", "export"]);
    assert.doesNotMatch(copy.stdout, /ghp_abc|lovelace/);
    const report = await one("privacy-report");
    assert.ok(Number(report["redacted"]) > 0);
    assert.ok((report["entries"] as Line[]).some((entry) => entry["reason"] === "person:mail"));
    assert.doesNotMatch(JSON.stringify(report), /ghp_abc|lovelace/);
  });

  it("ranks what was of use to sessions that used what this person did before what was not", async () => {
    verifies("C8");
    const add = async (text: string): Promise<string> => String((await one("add", text))["id"]);
    const gateway = await add("The gateway of the harbour listens on port 7101.");
    const together = await add("The crane of the harbour wants crane_mode=slow9.");
    const alone = await add("The ferry of the harbour wants ferry_mode=fast8.");
    const working = `
steps:
  - calls: [{ tool: recall, args: { query: "harbour gateway port, crane" } }]
  - calls: [{ tool: bash, args: { command: "test 7101 != crane_mode=slow9" } }]
  - calls: [{ tool: finish, args: { summary: "over" } }]
`;
    const parts = async (id: string): Promise<Line[]> =>
      (((await know("search", "what the harbour wants", "--why")).find((line) => line["id"] === id) ?? {})["parts"] ?? []) as Line[];
    const others = async (id: string): Promise<number> =>
      Number((await parts(id)).find((part) => part["name"] === "similar users")?.["value"] ?? 0);
    await know("feedback", gateway, "used");
    assert.equal(await others(together), 0);
    for (const goal of ["Look at the harbour.", "Look at the harbour again."]) await work(working, goal);
    for (let attempt = 0; attempt < 60 && (await others(together)) === 0; attempt += 1) await sleep(200);
    assert.ok((await others(together)) > 0, JSON.stringify(await parts(together)));
    assert.equal(await others(alone), 0);
    assert.equal((await know("search", "what the harbour wants"))[0]?.["id"], together);
  });

  it("keeps every version: history, differences, as it was, and back again; what rests on a changed file is doubtful", async () => {
    verifies("C7");
    const first = await one("add", "Releases are cut on Thursdays.", "--title", "Releases", "--evidence", "db.conf");
    const id = String(first["id"]);
    await sleep(20);
    const between = new Date().toISOString();
    await sleep(20);
    await know("add", "Releases are cut on Tuesdays.", "--id", id);
    assert.deepEqual(
      (await know("history", id)).map((line) => [line["version"], line["text"]]),
      [
        [2, "Releases are cut on Tuesdays."],
        [1, "Releases are cut on Thursdays."],
      ],
    );
    assert.equal((await one("diff", id, "--from", "1"))["after"], "Releases are cut on Tuesdays.");
    assert.equal((await one("diff", id))["before"], "Releases are cut on Thursdays.", "from the version before");
    assert.equal((await one("as-of", id, between))["text"], "Releases are cut on Thursdays.");
    assert.equal((await one("search", "releases cut", "--as-of", between))["text"], "Releases are cut on Thursdays.");
    assert.equal((await one("revert", id, "--to", "1"))["version"], 3);
    assert.equal((await one("show", id))["state"], "valid");
    writeFileSync(join(workspace, "db.conf"), "port = 7000\n");
    assert.equal((await one("show", id))["state"], "doubtful");
    await know("forget", id, "--reason", "no releases any more");
    assert.equal((await one("show", id))["state"], "forgotten");
    assert.equal((await one("restore", id))["state"], "valid");
  });

  it("looks at the files that a fact rests on where no session has ever worked, also after a restart", async () => {
    verifies("C7");
    const fresh = mkdtempSync(join(home.directory, "fresh-"));
    const here = async (...args: string[]): Promise<Line> =>
      jsonLines((await home.guild(["knowledge", ...args, "--json"], { cwd: fresh })).stdout)[0] ?? {};
    writeFileSync(join(fresh, "gate.conf"), "port = 1111\n");
    const id = String((await here("add", "The gate of the museum listens on port 1111.", "--evidence", "gate.conf"))["id"]);
    assert.equal((await here("show", id))["state"], "valid");
    writeFileSync(join(fresh, "gate.conf"), "port = 2222\n");
    assert.equal((await here("show", id))["state"], "doubtful");
    await home.guild(["down"]);
    assert.equal((await here("search", "gate museum"))["state"], "doubtful");
    assert.match(JSON.stringify(await here("why", id)), /what it rests on has changed/);
  });

  it("says what each item is worth and why, and what use and people's word change of it", async () => {
    verifies("C8", "C13");
    const id = String((await one("add", "The linter wants British English in every comment."))["id"]);
    const before = await one("why", id);
    await know("feedback", id, "used");
    await know("feedback", id, "confirmed");
    const after = await one("why", id);
    assert.ok(Number(after["score"]) > Number(before["score"]));
    assert.match(String(after["fate"]), /used in the last 30 days/);
    await know("feedback", id, "pinned");
    assert.equal((await one("why", id))["fate"], "stays: pinned");
    const [ranked] = await know("search", "British English comments");
    assert.ok(((ranked?.["parts"] ?? []) as Line[]).some((part) => part["name"] === "worth"));
  });

  it("finds what contradicts, and settles it as it is told", async () => {
    verifies("C10");
    const kept = String((await one("add", "The nightly build starts at 02:00."))["id"]);
    const other = String((await one("add", "The nightly build starts at 04:00."))["id"]);
    const clash = (await know("conflicts")).find((line) => JSON.stringify(line).includes(kept));
    assert.equal(clash?.["kind"], "contradiction");
    await know("conflicts", "--settle", String(clash?.["id"]), "--winner", kept);
    assert.deepEqual([(await one("show", kept))["state"], (await one("show", other))["state"]], ["valid", "superseded"]);
    await know("conflicts", "--settle", String(clash?.["id"]), "--strategy", "newest");
    assert.deepEqual([(await one("show", kept))["state"], (await one("show", other))["state"]], ["superseded", "valid"]);
    assert.match(String((await know("conflicts", "--all"))[0]?.["resolution"]), /the newest stays/);

    // Left to a person, it waits where all that waits for one is listed.
    const early = String((await one("add", "The weekly backup starts at 01:00."))["id"]);
    const late = String((await one("add", "The weekly backup starts at 05:00."))["id"]);
    const waiting = async () =>
      jsonLines((await home.guild(["approval", "list", "--json"])).stdout).filter((line) => line["tool"] === "knowledge");
    const [question] = await waiting();
    assert.deepEqual([(question?.["grant"] as Line | undefined)?.["id"], (question?.["deny"] as Line | undefined)?.["id"]], [late, early]);
    assert.match((await home.guild(["approval", "show", String(question?.["id"])])).stdout, /grant: .*05:00[^]*deny: .*01:00/);
    assert.equal((await home.guild(["approval", "deny", String(question?.["id"])])).code, 0);
    assert.deepEqual([(await one("show", early))["state"], (await one("show", late))["state"]], ["valid", "superseded"]);
    assert.deepEqual(await waiting(), []);
  });

  it("has its vectors in Chroma, which can be made again from the rows", async () => {
    verifies("C5");
    await know("add", "The night train leaves from platform nine.");
    const store = async () => String((await one("stats"))["vector_store"]);
    // It is started when there is something to keep and time for it.
    for (let attempt = 0; attempt < 100 && !(await store()).startsWith("chroma 1."); attempt += 1) await sleep(200);
    assert.match(await store(), /^chroma 1\./);
    const { items } = await one("stats");
    rmSync(join(home.directory, "guild/data/chroma"), { recursive: true });
    const rebuilt = await one("rebuild");
    assert.ok(Number(rebuilt["done"]) >= Number(items));
    assert.match(String((await one("search", "night train platform"))["text"]), /night train/);
    const findings = jsonLines((await home.guild(["doctor", "--json"])).stdout);
    assert.match(String(findings.find((each) => each["id"] === "knowledge/shared-index")?.["text"]), /ChromaDB/);
  });

  it("searches a project's code by what it does, as it is now, and tells what usually changes together", async () => {
    const project = mkdtempSync(join(home.directory, "code-"));
    const put = (name: string, text: string) => writeFileSync(join(project, name), text);
    put("retry.py", 'def with_backoff(call):\n    """Try a failing call again, waiting longer each time."""\n    return call()\n');
    put("menu.py", 'def draw(menu):\n    """Show the dishes of a day."""\n    print(menu)\n');
    put("prices.csv", "soup,3\n");
    repository(project);
    const call = async (args: object): Promise<string> => {
      const place = ["--workspace", project, "--sandbox", "host"];
      const done = await home.guild(["tool", "call", "code_search", "--args", JSON.stringify(args), ...place]);
      assert.equal(done.code, 0, done.stdout + done.stderr);
      return done.stdout;
    };
    assert.match(await call({ query: "repeat a call that failed" }), /^retry\.py:1-3 with_backoff/);
    put("menu.py", 'def again(call):\n    """Repeat a call that failed until it passes."""\n    return call()\n');
    assert.match(await call({ query: "repeat a call that failed" }), /^menu\.py:1-3 again/);
    assert.match(await call({ with: ["menu.py"] }), /prices\.csv/);
  });

  it("never embeds the same text twice, and counts that", async () => {
    verifies("C3");
    const cache = async () => (await one("stats"))["embeddings"] as Record<string, number>;
    await know("search", "a question that nobody has asked");
    const before = await cache();
    await know("search", "a question that nobody has asked");
    const after = await cache();
    assert.equal(after["misses"], before["misses"]);
    assert.equal(after["memory_hits"], (before["memory_hits"] ?? 0) + 1);
  });

  it("sets apart what is worth least when there is too much, and brings it back; what is pinned stays", async () => {
    verifies("C4");
    const pinned = String((await one("add", "The oldest oak stands by the gate.", "--pin", "--confidence", "0.1"))["id"]);
    const least = String((await one("add", "Some say that the gate was green once.", "--confidence", "0.01"))["id"]);
    const { items } = await one("stats");
    await home.guild(["down"]);
    // A session that ends brings the daily tidying with it.
    home.write(
      "script-tidy.yaml",
      'steps:\n  - calls: [{ tool: finish, args: { summary: "Nothing to do because all is done already." } }]\n',
    );
    const env = { GUILD_KNOWLEDGE_MAX_ITEMS: String(Number(items) - 1) };
    const run = [
      "run",
      "Tidy.",
      "--workspace",
      workspace,
      "--sandbox",
      "host",
      "--model",
      `scripted:${join(home.directory, "script-tidy.yaml")}`,
    ];
    assert.equal((await home.guild(run, { env })).code, 0);
    for (let attempt = 0; attempt < 100 && (await one("show", least))["state"] !== "cold"; attempt += 1) await sleep(200);
    assert.equal((await one("show", least))["state"], "cold");
    assert.equal((await one("show", pinned))["state"], "valid");
    assert.equal((await one("restore", least))["state"], "valid");
  });

  it("refuses what makes no sense with one line, and never answers an error with nothing", async () => {
    const refused = async (args: string[], code: number, text: RegExp) => {
      const done = await home.guild(["knowledge", ...args], { cwd: workspace });
      assert.deepEqual([done.code, done.stdout], [code, ""]);
      assert.match(done.stderr, text);
    };
    await refused(["search", ""], 2, /an empty query/);
    await refused(["show", "kno_none"], 2, /no such item/);
    await refused(["add", "x", "--scope", "galaxy"], 2, /unknown scope/);
    await refused(["sync"], 1, /no other Guildhall is known/);
    await refused(["sync", "127.0.0.1:9"], 1, /does not answer/);
    const newer = home.write("newer.jsonl", '{"guildhall":"knowledge","version":99}\n{"end":0}\n');
    await refused(["import", newer], 1, /version 99/);
    await refused(["import", home.write("cut.jsonl", '{"guildhall":"knowledge","version":1}\n')], 1, /damaged/);
  });
});
