import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import { GuildError } from "@guildhall/core";
import { failsWith } from "@guildhall/core/testing";

import { disarm } from "./bubblewrap/git-disarm.ts";
import { OpenHolds } from "./open-holds.ts";

describe("what is put in order after a process that was killed", () => {
  const directory = mkdtempSync(join(tmpdir(), "guildhall-holds-"));
  after(() => rmSync(directory, { recursive: true }));

  it("keeps nobody from another workspace when it fails, and is tried again", async () => {
    const place = join(directory, "holds");
    mkdirSync(place);
    const hold = { workspace: "/broken", owner: { uid: 0, gid: 0 }, began: 0, guarded: [], by: "pid:[1]/1/1" };
    writeFileSync(join(place, "one.json"), JSON.stringify(hold));
    const holds = new OpenHolds(place);
    const fails = async (): Promise<void> => {
      throw new GuildError("unavailable", "not there");
    };
    await holds.recover("/whole", fails);
    await assert.rejects(holds.recover("/broken", fails), failsWith("unavailable"));
    assert.deepEqual(readdirSync(place), ["one.json"]);
    await holds.recover("/whole", async () => undefined);
    assert.deepEqual(readdirSync(place), []);
  });

  it("puts configuration aside whatever names for that have been taken", async () => {
    const git = join(directory, "git");
    for (let number = 0; number < 110; number += 1) {
      mkdirSync(join(git, `config${number === 0 ? "" : `-${number}`}.from-sandbox`, "full"), { recursive: true });
    }
    writeFileSync(join(git, "config"), "[core]\n\tfsmonitor = evil\n");
    assert.equal(await disarm(git, { since: 0, owner: { uid: 0, gid: 0 } }), true);
    assert.ok(readdirSync(git).includes("config"), "what is harmless stays");
  });
});
