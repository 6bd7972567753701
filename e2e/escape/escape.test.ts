import assert from "node:assert/strict";
import { before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import type { Attack } from "./attack.ts";
import { attacks, type Row } from "./corpus.ts";
import { productAttacks } from "./product-attacks.ts";
import { runEverywhere } from "./run.ts";
import { timedAttacks } from "./timed.ts";

const full = process.env["GUILD_TEST_FULL"] !== undefined;
const all: Array<Pick<Attack, "id" | "by" | "control" | "sample">> = [
  ...attacks,
  ...timedAttacks.map(({ id, by }) => ({ id, by, control: "user" as const })),
  ...productAttacks.map(({ id, by, sample }) => ({ id, by, control: "user" as const, ...(sample === true ? { sample } : {}) })),
];
const chosen = all.filter(({ sample }) => full || sample === true);

describe(`the escape corpus${full ? "" : ", a sample of it"}`, () => {
  let rows: Row[] = [];
  before(async () => {
    const ids = chosen.map(({ id }) => id);
    rows = await runEverywhere(ids, () => undefined);
  });

  it("stays inside: as root and as an ordinary user, in bubblewrap and in docker", () => {
    verifies("F1");
    verifies("F2");
    verifies("F3");
    verifies("F4");
    const through = rows.flatMap(({ attack, caller, through: seen }) =>
      Object.entries(seen).flatMap(([provider, got]) => (got ? [`${attack} as ${caller} in ${provider}`] : [])),
    );
    assert.deepEqual(through, []);
    const providers = process.getuid?.() === 0 ? ["bubblewrap", "docker"] : ["bubblewrap"];
    const callers = process.getuid?.() === 0 ? ["root", "user"] : ["user"];
    for (const { id } of chosen) {
      const own = rows.filter(({ attack }) => attack === id);
      assert.deepEqual(
        own.map(({ caller }) => caller),
        callers,
        id,
      );
      for (const row of own) assert.deepEqual(Object.keys(row.through), providers, id);
    }
  });

  it("consists of attacks that work where there is no sandbox", () => {
    for (const { id, control } of chosen) {
      const shown = rows.filter(({ attack }) => attack === id).map((row) => row.control);
      // What only root can show an ordinary caller need not.
      assert.ok(shown.includes(true) || (control === "root" && process.getuid?.() !== 0), `${id}: ${shown.join(", ")}`);
    }
  });

  it("has each attack once, with what contains it", () => {
    assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
    for (const { id, by } of all) assert.notEqual(by, "", id);
  });
});
