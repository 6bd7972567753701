import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { body, GuildError } from "@guildhall/core";
import { settingsSchema } from "@guildhall/core/settings";
import { memoryEvents } from "@guildhall/core/testing";

import { Distiller } from "./distiller.ts";

describe("what a session learned while what is known was away", () => {
  it("is taken up when it is back, without a restart, and only then marked as done", async () => {
    const directory = await mkdtemp(join(tmpdir(), "guild-distil-"));
    const markFile = join(directory, "mark");
    const events = memoryEvents(
      body.messageReceived({ text: "Always remember that the release branch is cut on Tuesdays." }),
      body.turnEnded({ summary: "Done." }),
    );
    const said: string[] = [];
    const added: string[] = [];
    const marks: string[] = [];
    let away = 3;
    const taken = Promise.withResolvers<void>();
    const say = (line: string): void => void said.push(line);
    const distiller = new Distiller({
      tenant: "t",
      log: { read: async (_, seq, limit) => events.slice(seq - 1, seq - 1 + limit), listSessions: async () => [] },
      knowledge: {
        async add(items) {
          marks.push(await readFile(markFile, "utf8").catch(() => "none")); // Nothing is marked yet.
          if (away > 0) {
            away -= 1;
            throw new GuildError("unavailable", "the knowledge service is away");
          }
          added.push(...items.map(({ text }) => text));
          return { items: [...items], merged: new Map(), heldBack: 0 };
        },
        project: async () => ({ name: "p", byPath: "p" }),
        redactor: async () => (text) => text,
      },
      tellUse: async () => undefined,
      journal: { info: say, warn: say, error: say },
      settings: () => settingsSchema.parse({}).knowledge,
      quiet: () => Promise.resolve(),
      model: { name: () => undefined, ask: () => Promise.resolve([]) },
      signal: new AbortController().signal,
      markFile,
      distilled: () => Promise.resolve(taken.resolve()),
      againMs: [5, 10],
    });
    distiller.later({ tenant: "t", session: "ses_1" }, directory, 7);
    await taken.promise;
    await distiller.close();
    assert.deepEqual(added.length, 1);
    assert.match(added[0] ?? "", /Tuesdays/);
    assert.deepEqual(marks, ["none", "none", "none", "none"]);
    assert.equal((await readFile(markFile, "utf8")).trim(), "7");
    assert.equal(said.length, 1, "told once, not at every attempt");
    await rm(directory, { recursive: true });
  });
});
