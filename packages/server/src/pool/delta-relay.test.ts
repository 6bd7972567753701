import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Delta, DeltaSchema } from "@guildhall/protocol";
import { type DeltasMessage, DeltasMessageSchema, HelloSchema, type JoinRequestSchema } from "@guildhall/protocol/internal";

import { createDeltaHub } from "../worker/deltas.ts";
import { DeltaRelay } from "./delta-relay.ts";
import { DeltaSender } from "./delta-sender.ts";
import { createOutbox } from "./outbox.ts";
import { type Member, newMember, type ToWorker } from "./pool-members.ts";

const words = (text: string): Delta[] => [create(DeltaSchema, { kind: { case: "text", value: text } })];
const messageOf = (session: string, text: string): DeltasMessage => create(DeltasMessageSchema, { session, deltas: words(text) });

describe("the sender of deltas", () => {
  it("leaves them out while messages pile up, and ends with whoever asked", () => {
    const hub = createDeltaHub();
    const sender = new DeltaSender(hub);
    const outbox = createOutbox<MessageInitShape<typeof JoinRequestSchema>>();
    sender.begin("a", outbox);
    sender.begin("a", outbox);
    for (let piece = 0; piece < 10_000; piece++) hub.relay("a", words("x"));
    assert.ok(outbox.length > 0 && outbox.length < 100, `${outbox.length} wait`);
    outbox.push({ kind: { case: "heartbeat", value: {} } });
    assert.ok(outbox.length < 100, "what matters is sent all the same");
    sender.endAll();
    assert.equal(hub.isWatched("a"), false);
  });
});

describe("the relay of deltas", () => {
  const member = (id: string, local: boolean): { member: Member; asked: ToWorker["kind"][] } => {
    const asked: ToWorker["kind"][] = [];
    const send = ({ kind }: ToWorker): void => void asked.push(kind);
    return { member: newMember(create(HelloSchema, { workerId: id }), undefined, { send, heard: 0, local }), asked };
  };

  it("asks the worker of a session while somebody watches, also one that is given it later", () => {
    const hub = createDeltaHub();
    const { member: far, asked } = member("far", false);
    const { member: near, asked: never } = member("near", true);
    const workers = new Map<string, Member>([["near", near]]);
    const relay = new DeltaRelay(hub, (session) => workers.get(session));
    hub.subscribe("near", () => undefined);
    relay.given("near");
    assert.deepEqual(never, []);
    relay.given("far");
    const leave = hub.subscribe("far", () => undefined);
    assert.deepEqual(asked, []);
    workers.set("far", far);
    relay.given("far");
    leave();
    assert.deepEqual(asked, [
      { case: "listen", value: { session: "far", on: true } },
      { case: "listen", value: { session: "far", on: false } },
    ]);
  });

  it("believes a worker nothing of sessions of others", () => {
    const hub = createDeltaHub();
    const { member: own } = member("own", false);
    const { member: other } = member("other", false);
    const relay = new DeltaRelay(hub, (session) => (session === "a" ? own : undefined));
    const seen: unknown[] = [];
    hub.subscribe("a", (deltas) => seen.push(...deltas.map(({ kind }) => kind.value)));
    relay.heard(other, messageOf("a", "false"));
    relay.heard(own, messageOf("a", "true"));
    assert.deepEqual(seen, ["true"]);
  });
});
