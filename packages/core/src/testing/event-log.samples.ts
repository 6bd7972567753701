import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { create } from "@bufbuild/protobuf";
import {
  ApprovalDecidedSchema,
  type Event,
  MessageReceivedSchema,
  NoticeGivenSchema,
  SessionStartedSchema,
  TurnEndedSchema,
  type TurnEndReason,
} from "@guildhall/protocol";

import { type ErrorCode, GuildError } from "../errors.ts";
import type { EventBody, EventLog, Lease, SessionKey, SessionRecord } from "../ports/event-log.ts";

/** A tenant or session name that no other test uses. */
export function freshName(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll("-", "")}`;
}

/** A session with nothing but SessionStarted. */
export function startSession(log: EventLog, options: { tenant?: string; session?: string } = {}): Promise<SessionRecord> {
  return log.createSession({
    tenant: options.tenant ?? "local",
    session: options.session ?? freshName("ses"),
    title: "a session",
    workspace: "/home/someone/project",
    actor: "person:someone",
    events: [started()],
  });
}

/** A session and a lease on it that outlasts the test. */
export async function startLeased(log: EventLog): Promise<{ key: SessionKey; lease: Lease }> {
  const { tenant, session } = await startSession(log);
  const key = { tenant, session };
  return { key, lease: await log.acquireLease(key, "worker-1", 60_000) };
}

/** Appends under `lease` after event `expectedSeq`. */
export function appendNotices(log: EventLog, lease: Lease, expectedSeq: number, ...texts: string[]): Promise<Event[]> {
  const { tenant, session, epoch } = lease;
  return log.append({ tenant, session, expectedSeq, epoch, actor: "worker:1", events: texts.map(notice) });
}

export function started(): EventBody {
  return { case: "sessionStarted", value: create(SessionStartedSchema, { workspace: "/home/someone/project" }) };
}

export function message(text: string, messageId = ""): EventBody {
  return { case: "messageReceived", value: create(MessageReceivedSchema, { text, messageId }) };
}

export function decision(approvalId: string, granted: boolean): EventBody {
  return { case: "approvalDecided", value: create(ApprovalDecidedSchema, { approvalId, granted }) };
}

export function notice(text: string): EventBody {
  return { case: "noticeGiven", value: create(NoticeGivenSchema, { kind: "rules", text }) };
}

export function turnEnd(reason: TurnEndReason, summary: string): EventBody {
  return { case: "turnEnded", value: create(TurnEndedSchema, { reason, summary }) };
}

/** The text that a notice or message carries. */
export function textOf(event: Event): string {
  return event.body.case === "noticeGiven" || event.body.case === "messageReceived" ? event.body.value.text : "";
}

export function seqs(events: readonly Event[]): number[] {
  return events.map((event) => event.seq);
}

/** The whole log, read in pages. */
export async function readAll(log: EventLog, key: SessionKey, page = 100): Promise<Event[]> {
  const all: Event[] = [];
  for (;;) {
    const events = await log.read(key, all.length + 1, page);
    if (events.length === 0) return all;
    all.push(...events);
  }
}

/** Watches until `done` says so of what has come. */
export async function watchUntil(
  log: EventLog,
  key: SessionKey,
  fromSeq: number,
  done: (events: readonly Event[]) => boolean,
): Promise<Event[]> {
  const stop = new AbortController();
  const seen: Event[] = [];
  for await (const events of log.watch(key, fromSeq, stop.signal)) {
    seen.push(...events);
    if (done(seen)) stop.abort();
  }
  return seen;
}

/** 1 … n */
export function upTo(n: number): number[] {
  return Array.from({ length: n }, (_, index) => index + 1);
}

/** Fails unless `promise` is rejected with a GuildError of that code. */
export async function rejects(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(GuildError.is(error), `expected a GuildError, got ${String(error)}`);
    assert.equal(error.code, code, error.line);
    return true;
  });
}
