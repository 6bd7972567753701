import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";

import { type Event, foldAll, type Model, ModelError } from "@guildhall/core";
import { Control, TurnEndReason } from "@guildhall/protocol";

import { replaySession } from "./replay/replay-session.ts";
import { FakeModel, type FakeTurn } from "./testing/fake-model.ts";
import { finishes, Harness, looks } from "./testing/harness.ts";
import { assertValidRequest } from "./testing/validity.ts";

/** A session whose context is small and whose steps are large. */
async function crowded(
  summariser: FakeTurn[] | undefined,
  options: { steps?: number; contextTokens?: number; mostItems?: number; output?: number } = {},
): Promise<{ session: Harness; summaries: FakeModel[]; run: () => Promise<unknown> }> {
  const { steps = 30, contextTokens = 8_000, mostItems = 0, output = 150 } = options;
  const summaries: FakeModel[] = [];
  const session = await Harness.start((step) =>
    step < steps ? { text: `${"word ".repeat(output)}${step}`, calls: [looks(`a${step}`)] } : finishes(),
  );
  const info = { contextTokens, maxOutputTokens: 1_000 };
  const run = () =>
    session.run({
      mostItems,
      openModel: async ({ step }) => {
        const model = new FakeModel(session.turns, { step, info });
        session.models.push(model);
        return model;
      },
      ...(summariser === undefined
        ? {}
        : {
            openSummariser: async (): Promise<Model> => {
              const model = new FakeModel(summariser, { step: summaries.length, info });
              summaries.push(model);
              return model;
            },
          }),
    });
  return { session, summaries, run };
}

function condensations(events: Event[]): Array<{ method: string; summary: string; tokens: number }> {
  return events.flatMap(({ body }) =>
    body.case === "contextCondensed"
      ? [{ method: body.value.method, summary: body.value.summary, tokens: body.value.usage?.inputTokens ?? 0 }]
      : [],
  );
}

const always = (turn: FakeTurn): FakeTurn[] => Array.from({ length: 40 }, () => turn);

describe("a summary by a model", () => {
  it("takes the place of old steps before they must be cut, with what is told by rule behind it, and is paid for", async () => {
    const { session, summaries, run } = await crowded(always({ text: "Notes: the port is 4711.", usage: { input: 900, output: 40 } }));
    await run();
    const events = await session.events();
    const made = condensations(events);
    assert.ok(made.length > 0 && made.every(({ method }) => method === "summarised"), JSON.stringify(made.map(({ method }) => method)));
    assert.match(made[0]?.summary ?? "", /^Notes: the port is 4711\.\n\nThe first \d+ steps[\s\S]*> Do it\./);
    for (const { messages } of session.models.flatMap((model) => model.requests)) assertValidRequest(messages);
    assert.match(session.lastRequest.messages[1]?.text ?? "", /the port is 4711/);
    assert.ok(foldAll(events).spent.inputTokens >= 900 * made.length);
    assert.deepEqual(summaries[0]?.requests[0]?.tools, []);
    assert.match(summaries[0]?.requests[0]?.messages[1]?.text ?? "", /\[called look\]/);
    assert.equal((await replaySession(events, { session: "ses_1" })).difference, "");
  });

  it("does without the model when that fails or says nothing", async () => {
    for (const turn of [new ModelError("overloaded", "no"), { text: " " }]) {
      const { session, run } = await crowded(always(turn));
      const made = (await run(), condensations(await session.events()));
      assert.ok(made.length > 0 && made.every(({ method }) => method === "truncated"));
      assert.match(made[0]?.summary ?? "", /^The first \d+ steps were left out/);
    }
  });

  it("leaves no trace when the session is interrupted meanwhile", async () => {
    let stop = async (): Promise<void> => undefined;
    const { session, run } = await crowded(
      always(async (_, signal) => {
        await stop();
        if (!signal.aborted) await once(signal, "abort");
        throw new ModelError("cancelled", "the call was cancelled");
      }),
    );
    stop = () => session.interrupt();
    const end = (await run()) as { reason: TurnEndReason };
    assert.equal(end.reason, TurnEndReason.INTERRUPTED);
    assert.deepEqual(condensations(await session.events()), []);
  });

  it("is made when a person asks for it, and when there are too many events", async () => {
    const asked = await crowded(always({ text: "Notes." }), { contextTokens: 200_000 });
    asked.session.world.during = async (name) => {
      if (name === "a9") await asked.session.control(Control.CONDENSE);
    };
    await asked.run();
    assert.equal(condensations(await asked.session.events()).length, 1);
    const many = await crowded(always({ text: "Notes." }), { contextTokens: 200_000, mostItems: 12 });
    await many.run();
    const made = condensations(await many.session.events());
    assert.ok(made.length > 1 && made.length < 10, String(made.length));
  });

  it("does not go on for ever where nothing fits", async () => {
    const { session, run } = await crowded(undefined, { contextTokens: 2_000, output: 1_500, steps: 60 });
    const end = (await run()) as { reason: TurnEndReason; detail: string };
    assert.deepEqual([end.reason, end.detail], [TurnEndReason.GAVE_UP, "stuck:context"]);
    assert.match(
      (await session.events()).map(({ body }) => (body.case === "noticeGiven" ? body.value.text : "")).join(),
      /outgrew your context/,
    );
  });
});
