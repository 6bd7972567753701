import { createHash } from "node:crypto";

import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type EventBody, inputKey, turnChange } from "@guildhall/core";
import { type Event, EventSchema } from "@guildhall/protocol";

/** Events ready to be stored: payloads hold everything but the sequence, which is a column of its own. */
export interface EncodedEvents {
  /** With sequence 0 until they are stored. */
  events: Event[];
  payloads: Uint8Array[];
  bytes: number;
  /** Identity of inputs, by position from 1. */
  keys: Array<{ nth: number; key: string }>;
  /** As in log-statements: 0 unchanged, 1 open, 2 closed. */
  turn: 0 | 1 | 2;
  reason: number | null;
  summary: string | null;
}

export function encodeEvents(bodies: EventBody[], envelope: { time: Date; epoch: number; actor: string }): EncodedEvents {
  const time = timestampFromDate(envelope.time);
  const events = bodies.map((body) => create(EventSchema, { time, epoch: envelope.epoch, actor: envelope.actor, body }));
  const payloads = events.map((event) => toBinary(EventSchema, event));
  const change = turnChange(bodies);
  return {
    events,
    payloads,
    bytes: payloads.reduce((sum, payload) => sum + payload.length, 0),
    keys: bodies.flatMap((body, index) => {
      const key = inputKey(body);
      return key === undefined ? [] : [{ nth: index + 1, key: storedKey(key) }];
    }),
    turn: change === undefined ? 0 : change.turnOpen ? 1 : 2,
    reason: change?.lastTurnEnd?.reason ?? null,
    summary: textColumn(change?.lastTurnEnd?.summary) ?? null,
  };
}

/** Where each event lies in the joined payloads, as the statements take it: positions from 1, starts from 1, lengths. */
export function slicesOf(encoded: EncodedEvents): [nths: number[], starts: number[], lengths: number[]] {
  const starts: number[] = [];
  let start = 1;
  for (const payload of encoded.payloads) {
    starts.push(start);
    start += payload.length;
  }
  return [encoded.payloads.map((_, index) => index + 1), starts, encoded.payloads.map((payload) => payload.length)];
}

/** Gives stored events their positions. */
export function numbered(events: Event[], first: number): Event[] {
  for (const [index, event] of events.entries()) event.seq = first + index;
  return events;
}

/** A key of bounded length, so that any sender's ids can be indexed. */
export function storedKey(key: string): string {
  if (key.length <= 200 && !key.includes("\0")) return key;
  return `${key.slice(0, key.indexOf(":"))}:sha256:${createHash("sha256").update(key).digest("hex")}`;
}

/** PostgreSQL's text holds everything but the zero character. */
export function textColumn<T extends string | undefined>(text: T): T {
  return (text?.includes("\0") ? text.replaceAll("\0", "\u{FFFD}") : text) as T;
}
