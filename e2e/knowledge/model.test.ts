import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

type Line = Record<string, unknown>;

/** A scripted model of knowledge: it answers each kind of question by what it is asked about, and keeps what it was shown. */
const module = `
import { appendFileSync } from "node:fs";
export function createModel({ open }) {
  return {
    info: { spec: open.spec, provider: "house", contextTokens: 32000, maxOutputTokens: 4000, price: undefined },
    async generate(request) {
      const [{ text: asked }, { text: data }] = request.messages;
      appendFileSync(new URL("asked.txt", import.meta.url), data + "\\n");
      return { text: answer(asked, data), reasoning: "", toolCalls: [], finishReason: "stop", durationMs: 0, model: open.spec, providerData: "" };
    },
    async close() {},
  };
}
function answer(asked, data) {
  if (asked.includes("free of contradictions")) {
    const { fact, others } = JSON.parse(data.slice(data.indexOf("{"), data.lastIndexOf("}") + 1));
    const winter = (text) => /winter|snow/.test(text);
    return JSON.stringify(others.map(({ number, text }) => ({ number, contradicts: winter(fact.text) && winter(text), reason: "one season at a time" })));
  }
  if (asked.includes("taught about its project")) {
    const [, seq] = /\\[(\\d+)\\] agent: The cache/.exec(data) ?? [, "1"];
    return "Here it is: " + JSON.stringify([
      { text: "The cache of parsed headers has to be cleared after each deploy, or clients see old menus.", title: "Header cache", seqs: [Number(seq)], confidence: 0.7 },
      { text: "This one cites an event that is not there, so it is not kept.", seqs: [999] },
    ]);
  }
  return JSON.stringify({ title: "Header cache", text: "After each deploy the cache of parsed headers has to be cleared, or clients see old menus." });
}
`;
const working = (words: string) => `
steps:
  - say: "The cache was stale${words}. My key is ghp_abcdefghijklmnopqrstuvwxyz0123456789."
    calls: [{ tool: bash, args: { command: "echo looked" } }]
  - calls: [{ tool: finish, args: { summary: "done" } }]
`;

describe("knowledge with a model", () => {
  let home: Home;
  let workspace: string;
  before(() => {
    home = new Home();
    workspace = mkdtempSync(join(home.directory, "project-"));
    const model = home.write("house.mjs", module);
    home.write(
      "guild/config/settings.toml",
      `[modules]\nhouse = ${JSON.stringify(model)}\n[routes]\nknowledge = "house/keeper"\n[knowledge]\nconflicts = "newest"\n`,
    );
  });
  after(() => home.remove());

  const know = async (...args: string[]): Promise<Line[]> => {
    const done = await home.guild(["knowledge", ...args, "--json"], { cwd: workspace });
    assert.equal(done.code, 0, done.stderr);
    return jsonLines(done.stdout);
  };
  const state = async (id: string) => (await know("show", id))[0]?.["state"];
  const work = async (name: string, words: string): Promise<void> => {
    const file = home.write(`${name}.yaml`, working(words));
    const place = ["--workspace", workspace, "--sandbox", "host", "--yes"];
    const done = await home.guild(["run", `Look at the menus, ${name}.`, ...place, "--model", `scripted:${file}`]);
    assert.equal(done.code, 0, done.stdout + done.stderr);
  };
  const until = async <T>(what: string, look: () => Promise<T | undefined>): Promise<T> => {
    for (let attempt = 0; attempt < 200; attempt += 1) {
      const found = await look();
      if (found !== undefined) return found;
      await sleep(200);
    }
    assert.fail(`it did not come: ${what}`);
  };

  it("judges what contradicts, beyond what rules see, and is believed where rules see too much", async () => {
    verifies("C10");
    const add = async (text: string) => String((await know("add", text))[0]?.["id"]);
    const snow = await add("The mountain road is closed while there is snow.");
    const winter = await add("In winter everyone drives over the mountain road.");
    await until("the older one gives way", async () => ((await state(snow)) === "superseded" ? true : undefined));
    assert.equal(await state(winter), "valid");
    // By rules these two contradict each other; the model has them both stand, and nothing was settled before it spoke.
    const one = await add("The ferry leaves at 08:00.");
    const other = await add("The ferry leaves at 09:00.");
    await until("the two are judged", async () =>
      readFileSync(join(home.directory, "asked.txt"), "utf8").includes("09:00") && (await know("conflicts")).length === 0
        ? true
        : undefined,
    );
    assert.deepEqual([await state(one), await state(other)], ["valid", "valid"]);
  });

  it("writes the lessons of a session, each with events that are there, and sees no secret; what several learned alike is joined", async () => {
    verifies("C12");
    const lessons = async () =>
      (await know("search", "cache headers deploy menus")).filter((line) => String(line["author"]).startsWith("session:"));
    await work("first", "");
    const [first] = await until("a lesson", async () => ((await lessons()).length > 0 ? await lessons() : undefined));
    assert.equal(first?.["title"], "Header cache");
    assert.match(String((first?.["evidence"] as string[] | undefined)?.[0]), /^session ses_\w+, events \d+$/);
    assert.deepEqual(await know("search", "cites an event that is not there kept"), []);
    await work("second", " again");
    const joined = await until("evidence of both", async () => {
      const [found] = await lessons();
      return new Set(((found?.["evidence"] ?? []) as string[]).map((one) => one.split(",")[0])).size > 1 ? found : undefined;
    });
    assert.match(String(joined["text"]), /cache of parsed headers/);
    assert.doesNotMatch(readFileSync(join(home.directory, "asked.txt"), "utf8"), /ghp_abc/);
    const [tidied] = await know("tidy");
    assert.equal(typeof tidied?.["set_apart"], "number");
  });
});
