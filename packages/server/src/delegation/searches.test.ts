import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { body, EMPTY_SESSION, foldBodies, type SessionState } from "@guildhall/core";
import { ActionStatus } from "@guildhall/protocol";

import { pastSearches, Searches } from "./searches.ts";

const input = { pattern: "bees" };

describe("the searches of agents that work together", () => {
  /** A session that has searched, with what its log holds of it. */
  const state = (...outputs: string[]): SessionState => {
    const toolCalls = outputs.map((_, n) => ({ callId: `c${n}`, tool: "search", arguments: JSON.stringify(input) }));
    const finished = outputs.map((output, n) => body.actionFinished({ callId: `c${n}`, status: ActionStatus.OK, output }));
    const bodies = [body.sessionStarted({ systemPrompt: "x", model: "a/b" }), body.messageReceived({ text: "Do it." })];
    return foldBodies(EMPTY_SESSION, [...bodies, body.modelReplied({ step: 1, toolCalls }), ...finished], { epoch: 1, time: new Date(0) });
  };

  it("are counted on after a restart by what the logs hold, remarks and refusals left out", async () => {
    const before = new Searches(async () => []);
    const told = async (session: string): Promise<string> => {
      const refusal = await before.refusal(input);
      const remark = refusal === undefined ? before.seen(session, input, "none") : undefined;
      return refusal ?? (remark === undefined ? "none" : `none\n\n${remark}`);
    };
    const logs: Record<string, string[]> = { a: [], b: [] };
    for (const session of ["a", "b", "a", "b", "a"]) logs[session]?.push(await told(session));
    const states = new Map(Object.entries(logs).map(([session, outputs]) => [session, state(...outputs)]));
    const keys = [...states.keys()].map((session) => ({ tenant: "t", session }));
    let asked = 0;
    const after = new Searches(() => {
      asked += 1;
      return pastSearches(keys, async ({ session }) => states.get(session) ?? EMPTY_SESSION);
    });
    assert.deepEqual(await Promise.all([after.refusal(input), after.refusal(input)]), [undefined, undefined]);
    assert.match(after.seen("b", input, "none") ?? "", /same search before, with the same result/);
    assert.match((await after.refusal(input)) ?? "", /made this same search 6 times/);
    assert.equal(asked, 1);
  });

  it("are no matter while one agent alone repeats itself, or the result is another", async () => {
    const searches = new Searches(async () =>
      pastSearches([{ tenant: "t", session: "a" }], async () => state(...Array<string>(7).fill("none"))),
    );
    assert.equal(await searches.refusal(input), undefined);
    assert.equal(searches.seen("b", input, "one"), undefined);
    assert.equal(await searches.refusal(input), undefined);
  });
});
