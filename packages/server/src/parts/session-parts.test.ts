import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { GuildError, type SessionPart } from "@guildhall/core";

import { closeParts, type PartFactory, SessionParts } from "./session-parts.ts";

const place = { workspace: "/w", provider: "bubblewrap" };

function journal() {
  const lines: string[] = [];
  const add = (line: string) => void lines.push(line);
  return { lines, log: { info: add, warn: add, error: add } };
}

describe("the kinds of parts of a daemon", () => {
  it("add to the prompt and the sandbox of a session, in their order, but for one that fails", async () => {
    const { lines, log } = journal();
    const factories: PartFactory[] = [
      {
        name: "one",
        introduction: () => "One.",
        surroundings: () => ({ env: { A: "1", B: "1" }, readOnly: ["x"] }),
        open: () => undefined,
      },
      {
        name: "broken",
        introduction: () => {
          throw new GuildError("internal", "no introduction");
        },
        open: () => undefined,
      },
      { name: "two", introduction: async () => "Two.", surroundings: () => ({ env: { B: "2" } }), open: () => ({ name: "two" }) },
    ];
    const parts = new SessionParts(factories, log);
    assert.equal(await parts.introduction(place), "One.\n\nTwo.");
    assert.deepEqual(await parts.surroundings(place), { env: { A: "1", B: "2" }, readOnly: ["x"] });
    assert.deepEqual(lines, ["/w: broken: no introduction"]);
  });

  it("close every part, whatever becomes of one", async () => {
    const closed: string[] = [];
    const part = (name: string, fail = false): SessionPart => ({
      name,
      close: async () => {
        closed.push(name);
        if (fail) throw new GuildError("internal", `${name} failed`);
      },
    });
    await assert.rejects(closeParts([part("a", true), part("b"), { name: "c" }]), { message: "a failed" });
    assert.deepEqual(closed, ["a", "b"]);
  });
});
