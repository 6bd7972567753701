import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { describe, it } from "node:test";

import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { body, type Event } from "@guildhall/core";
import { seededRandom } from "@guildhall/core/testing";
import { EventSchema } from "@guildhall/protocol";

import { finishes, Harness } from "../testing/harness.ts";
import { makeRecording } from "../testing/recorded-session.ts";
import { replaySession } from "./replay-session.ts";

const TESTDATA = new URL("../testdata/", import.meta.url);

describe("the replay of a session", () => {
  it("that is recorded is identical", async () => {
    const session = await makeRecording();
    const events = await session.events();
    assert.deepEqual(await replaySession(events, { session: "ses_1" }), {
      identical: true,
      events: events.length,
      firstDifference: 0,
      difference: "",
    });
  });

  it("that broke off anywhere is identical up to there", async () => {
    const events = await (await makeRecording()).events();
    for (let length = 1; length < events.length; length += 1) {
      const replay = await replaySession(events.slice(0, length), { session: "ses_1" });
      assert.equal(replay.difference, "", `${length} events`);
    }
  });

  it("finds every change to what the loop decides", async () => {
    const events = await (await makeRecording()).events();
    const random = seededRandom(7);
    for (const [place, event] of events.entries()) {
      const changed = tampered(event);
      if (changed === undefined) continue;
      const log = events.with(place, changed);
      const replay = await replaySession(log, { session: "ses_1" });
      assert.equal(replay.identical, false, `event ${event.seq} ${event.body.case}`);
      assert.ok(replay.firstDifference > 0 && replay.firstDifference <= event.seq + 1, `event ${event.seq}: ${replay.firstDifference}`);
      assert.notEqual(replay.difference, "");
    }
    // An event too few is a gap.
    const missing = 1 + random.below(events.length - 2);
    assert.match((await replaySession(events.toSpliced(missing, 1), { session: "ses_1" })).difference, /gap/);
  });

  it("takes other wording for the same where it is told to", async () => {
    const events = await (await makeRecording()).events();
    const place = events.findIndex((event) => event.body.case === "noticeGiven");
    const event = events[place]!;
    const other = events.with(place, { ...event, body: body.noticeGiven({ kind: "invalid_reply", text: "In other words." }) });
    assert.equal((await replaySession(other, { session: "ses_1" })).firstDifference, event.seq);
    assert.equal((await replaySession(other, { session: "ses_1", freeWording: true })).identical, true);
  });

  it("of a fork begins where the fork does", async () => {
    const original = await makeRecording();
    const copies = (await original.events()).slice(0, 6).map((event) => event.body as Parameters<typeof original.input>[0]);
    const session = await Harness.start([]);
    const key = { tenant: "local", session: "ses_2" };
    const forked = body.sessionForked({ parentSessionId: "ses_1", atSeq: 6, workspace: "/v" });
    await session.log.createSession({ ...key, title: "fork", workspace: "/v", actor: "person:test", events: [...copies, forked] });
    await session.log.appendInput(key, "person:test", [body.messageReceived({ text: "Now differently." })]);
    session.turns = () => finishes("forked");
    await session.run({ key });
    const events = await session.log.read(key, 1, 1_000);
    assert.equal((await replaySession(events, { session: "ses_2" })).difference, "");
  });
});

describe("recordings of earlier versions", () => {
  it("are replayed by today's loop", async () => {
    const files = (await readdir(TESTDATA)).filter((name) => name.endsWith(".jsonl"));
    assert.ok(files.length > 0);
    for (const name of files) {
      const lines = (await readFile(new URL(name, TESTDATA), "utf8")).trim().split("\n");
      const events = lines.map((line): Event => fromJson(EventSchema, JSON.parse(line) as JsonValue));
      const replay = await replaySession(events, { session: "ses_1", freeWording: true });
      assert.equal(replay.difference, "", name);
      assert.equal(replay.events, events.length, name);
    }
  });
});

/** The same event saying something else; undefined: what it says is given from outside, or is a time. */
function tampered(event: Event): Event | undefined {
  const { body: content } = event;
  switch (content.case) {
    case "actionStarted":
      return { ...event, body: body.actionStarted({ ...content.value, callId: `${content.value.callId}x` }) };
    case "noticeGiven":
      return { ...event, body: body.noticeGiven({ ...content.value, text: `${content.value.text}!` }) };
    case "turnEnded":
      return { ...event, body: body.turnEnded({ ...content.value, detail: "steps" }) };
    case "leaseTaken":
      return { ...event, body: body.leaseTaken({ ...content.value, epoch: 99 }) };
    case "modelReplied":
      return { ...event, body: body.modelReplied({ ...content.value, step: content.value.step + 1 }) };
    case "approvalRequested":
      return { ...event, body: body.approvalRequested({ ...content.value, approvalId: "apr_0" }) };
    default:
      return undefined;
  }
}
