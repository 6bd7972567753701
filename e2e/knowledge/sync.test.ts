import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

type Line = Record<string, unknown>;

describe("two Guildhalls that exchange what they know", () => {
  let one: Home;
  let two: Home;
  const address = { value: "" };
  before(() => {
    one = new Home();
    two = new Home();
    // By words alone: this is about what is known, not about how it is found.
    for (const home of [one, two])
      home.write("guild/config/settings.toml", '[knowledge]\nvectors = "memory"\nembedder = "anthropic/none"\n');
  });
  after(async () => {
    await one.remove();
    await two.remove();
  });

  const know = async (home: Home, ...args: string[]): Promise<Line[]> => {
    const token = readFileSync(join(two.directory, "guild/data/token"), "utf8").trim();
    const env = { GUILD_KNOWLEDGE_REMOTE_TOKEN: token };
    const done = await home.guild(["knowledge", ...args, "--json"], { env });
    assert.equal(done.code, 0, done.stderr);
    return jsonLines(done.stdout);
  };
  const add = async (home: Home, ...args: string[]) => String((await know(home, "add", "--scope", "global", ...args))[0]?.["id"]);
  const texts = async (home: Home, query: string) => (await know(home, "search", query)).map((line) => String(line["text"])).toSorted();
  const up = async () => {
    const told = await two.guild(["up", "--listen", address.value === "" ? "127.0.0.1:0" : address.value, "--json"]);
    const [line] = jsonLines(told.stdout);
    address.value = ((line?.["addresses"] ?? []) as string[]).find((each) => !each.startsWith("unix:"))?.replace(/^.*?\/\//, "") ?? "";
  };

  it("know the same afterwards, in both directions, whatever was written while one was away; nothing is sent twice", async () => {
    verifies("C9", "C10");
    mkdirSync(join(two.directory, "guild/data"), { recursive: true });
    await up();
    // The first daemon reads the other's token from its environment.
    const shared = await add(one, "Otters hold hands while they sleep.");
    await add(two, "Herons stand on one leg.");
    const [first] = await know(one, "sync", address.value);
    assert.deepEqual([first?.["sent"], first?.["received"]], [1, 1]);
    assert.deepEqual(await texts(two, "otters"), ["Otters hold hands while they sleep."]);
    assert.deepEqual(await texts(one, "herons"), ["Herons stand on one leg."]);
    const [again] = await know(one, "sync", address.value);
    assert.deepEqual([again?.["sent"], again?.["received"]], [0, 0]);

    await two.guild(["down"]);
    const away = await one.guild(["knowledge", "sync", address.value]);
    assert.equal(away.code, 1);
    assert.match(away.stderr, /does not answer .* nothing is lost/);
    await know(one, "add", "--scope", "global", "Otters float on their backs.", "--id", shared);
    await add(one, "The tide table is in the drawer.");
    const gone = await add(one, "The drawer is locked.");
    await know(one, "forget", gone);
    await up();
    await know(two, "add", "--scope", "global", "The tide table is in the drawer.");
    await know(one, "sync", address.value);
    for (const home of [one, two]) {
      assert.deepEqual(await texts(home, "otters"), ["Otters float on their backs."]);
      assert.deepEqual(await texts(home, "tide table drawer"), ["The tide table is in the drawer."], "said on both sides, known once");
    }
    assert.equal((await know(two, "show", gone))[0]?.["state"], "forgotten");
    assert.deepEqual(
      (await know(two, "history", shared)).map((line) => line["version"]),
      [2, 1],
    );

    const copy = one.write("copy.jsonl", (await one.guild(["knowledge", "export"])).stdout);
    const [imported] = await know(two, "import", copy);
    assert.equal(imported?.["items"], 0, "all of it was known");
  });
});
