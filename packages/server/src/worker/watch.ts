import { type EventLog, GuildError, type SessionKey, sessionStatus, turnChange, type TurnState } from "@guildhall/core";
import { type Delta, type Event, SessionStatus, type TurnEndReason } from "@guildhall/protocol";

import type { DeltaHub } from "./deltas.ts";
import type { SessionRunner } from "./session-host.ts";

export interface WatchOptions {
  from: number;
  follow: boolean;
  deltas: boolean;
  untilTurnEnd: boolean;
}

export interface WatchItem {
  events: Event[];
  deltas: Delta[];
  status: SessionStatus;
}

const pageSize = 200;

/**
 * A session's events from a cursor, and what is on its way. With `untilTurnEnd` it ends once everything up to the end of the turn has been
 * given, and throws what broke off the run when the turn stays open.
 */
export async function* watchSession(
  deps: { log: EventLog; host: SessionRunner; hub: DeltaHub },
  key: SessionKey,
  options: WatchOptions,
  signal: AbortSignal,
): AsyncIterable<WatchItem> {
  const { log, host, hub } = deps;
  const record = await log.getSession(key);
  let status = statusOf(record, host.isRunning(key.session));
  if (!options.follow) {
    for (let from = Math.max(1, options.from); ;) {
      const events = await log.read(key, from, pageSize);
      if (events.length === 0) return;
      yield { events, deltas: [], status };
      from += events.length;
    }
  }
  const ended = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  const box = createMailbox();
  const leave = options.deltas ? hub.subscribe(key.session, (deltas) => box.deltas(deltas)) : () => undefined;
  const pump = (async () => {
    for await (const events of log.watch(key, Math.max(1, options.from), either)) await box.events(events);
  })();
  pump.then(
    () => box.end(),
    (error: unknown) => box.end(error),
  );
  try {
    // Over already, with nothing to come.
    if (options.untilTurnEnd && !record.turnOpen && record.lastSeq < options.from) return;
    const tellWhenRested = (): void => {
      host.rested(key.session, either).then(
        () => box.rested(),
        (error: unknown) => box.end(error),
      );
    };
    if (options.untilTurnEnd) tellWhenRested();
    let seen = options.from - 1;
    for await (const { events, deltas, rested } of box.items()) {
      const change = turnChange(events.map((event) => event.body));
      if (change !== undefined) {
        status = statusOf(change, true);
      }
      if (events.some((event) => event.body.case === "approvalRequested")) status = SessionStatus.WAITING_APPROVAL;
      seen = events.at(-1)?.seq ?? seen;
      if (events.length > 0 || deltas.length > 0) yield { events, deltas, status };
      if (!options.untilTurnEnd) continue;
      if (change !== undefined && !change.turnOpen && seen >= record.lastSeq) return;
      if (rested) {
        const now = await log.getSession(key);
        if (now.lastSeq <= seen && !now.turnOpen) return;
        if (now.turnOpen && !host.isRunning(key.session)) throw (await host.rested(key.session)) ?? orphaned(key.session);
        if (host.isRunning(key.session)) tellWhenRested();
      }
    }
  } finally {
    leave();
    ended.abort();
    // What waits to be taken by somebody who has gone would keep the pump for ever.
    box.close();
    // Whatever ended it was told through the mailbox.
    await pump.catch(() => undefined);
  }
}

function statusOf(turn: TurnState, leased: boolean): SessionStatus {
  return sessionStatus({ turnOpen: turn.turnOpen, endReason: turn.lastTurnEnd?.reason as TurnEndReason | undefined, leased });
}

function orphaned(session: string): GuildError {
  return new GuildError("unavailable", "nobody works on this session", {
    subject: session,
    remedy: `resume it: guild session resume ${session}`,
  });
}

interface Mail {
  events: Event[];
  deltas: Delta[];
  rested: boolean;
}

/** Joins what comes from several sides into one stream; one batch of events waits at most, deltas are bounded by their number. */
function createMailbox(): {
  events(events: Event[]): Promise<void>;
  deltas(deltas: Delta[]): void;
  rested(): void;
  end(error?: unknown): void;
  /** Nobody takes anything any more: who waits for that is let go. */
  close(): void;
  items(): AsyncIterable<Mail>;
} {
  let mail: Mail = { events: [], deltas: [], rested: false };
  let taken = Promise.withResolvers<void>();
  let arrived = Promise.withResolvers<void>();
  let end: { error?: GuildError } | undefined;
  return {
    async events(events) {
      while (mail.events.length > 0 && end === undefined) await taken.promise;
      mail.events.push(...events);
      arrived.resolve();
    },
    deltas(deltas) {
      mail.deltas = [...mail.deltas, ...deltas].slice(-mostDeltas);
      arrived.resolve();
    },
    rested() {
      mail.rested = true;
      arrived.resolve();
    },
    end(error) {
      end = error === undefined ? {} : { error: GuildError.from(error) };
      arrived.resolve();
    },
    close() {
      end ??= {};
      taken.resolve();
    },
    async *items() {
      for (;;) {
        await arrived.promise;
        arrived = Promise.withResolvers<void>();
        const got = mail;
        mail = { events: [], deltas: [], rested: false };
        const wake = taken;
        taken = Promise.withResolvers<void>();
        wake.resolve();
        yield got;
        if (end === undefined || mail.events.length > 0) continue;
        if (end.error !== undefined) throw end.error;
        return;
      }
    },
  };
}

const mostDeltas = 100;
