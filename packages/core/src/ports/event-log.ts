import type { Event, Limits } from "@guildhall/protocol";

/** What an event says, without the position and time that the log gives it. */
export type EventBody = Exclude<Event["body"], { case: undefined }>;

/** A session is named by its tenant and its id; a single-user system has the tenant `local`. */
export interface SessionKey {
  tenant: string;
  session: string;
}

/** The row that belongs to a session beside its events; changed in the same transaction as they are. */
export interface SessionRecord extends SessionKey {
  title: string;
  workspace: string;
  parent: string | undefined;
  /** Sequence of the last event. */
  lastSeq: number;
  created: Date;
  updated: Date;
  /** Highest epoch ever granted. */
  epoch: number;
  /** Holder of the running lease; undefined when nobody holds one. */
  leaseOwner: string | undefined;
  /** When the last lease runs out, or ran out without having been given back, since its holder was killed or cut off; undefined: it was given back, or there was none. */
  leaseExpires: Date | undefined;
  /** Reason of the last TurnEnded and its summary, or undefined while a turn is open or before the first one. */
  lastTurnEnd: { reason: number; summary: string } | undefined;
  /** A turn is open: an input arrived or work began, and no TurnEnded came after it. */
  turnOpen: boolean;
}

export interface NewSession extends SessionKey {
  title: string;
  workspace: string;
  parent?: string;
  actor: string;
  /** The first events; the first is SessionStarted. */
  events: EventBody[];
  /** A second creation with the same request id answers with the first one's session. */
  requestId?: string;
}

/** A right to append: only the holder of the highest epoch may, and only until it expires. */
export interface Lease extends SessionKey {
  owner: string;
  epoch: number;
  expires: Date;
}

export interface Append extends SessionKey {
  /** The sequence that the writer believes to be last. */
  expectedSeq: number;
  epoch: number;
  actor: string;
  events: EventBody[];
}

/**
 * The session's append-only log; the only writer is the orchestrator.
 *
 * Promises of every implementation (event-log.contract.ts):
 * - sequences are 1, 2, 3 … without gaps, whatever crashes or runs side by side;
 * - an append is all or nothing, and durable when its promise resolves;
 * - `append` throws `sequence_moved` when `expectedSeq` is not the last sequence, and `lease_lost` when a higher epoch was
 *   granted or the lease is over;
 * - its cost does not grow with the length of the log.
 */
export interface EventLog {
  createSession(session: NewSession): Promise<SessionRecord>;
  /** Throws `not_found`. */
  getSession(key: SessionKey): Promise<SessionRecord>;
  /** Newest first. `before` is the id of the last session of the previous page. */
  listSessions(query: { tenant: string; workspace?: string; limit: number; before?: string }): Promise<SessionRecord[]>;

  append(append: Append): Promise<Event[]>;
  /**
   * Events from outside (messages, controls, decisions): no lease, no expected sequence, epoch 0. A MessageReceived whose
   * message_id is stored already, or an ApprovalDecided for an approval already decided, is not stored again; the stored event is returned.
   */
  appendInput(key: SessionKey, actor: string, events: EventBody[]): Promise<Event[]>;

  /** At most `limit` events with `seq >= fromSeq`, in order. Throws `not_found` for an unknown session. */
  read(key: SessionKey, fromSeq: number, limit: number): Promise<Event[]>;
  /**
   * All events with `seq >= fromSeq`, those to come included, in order, without gap or duplicate; ends when `signal` aborts.
   * A slow reader costs bounded memory: it is served from the store again.
   */
  watch(key: SessionKey, fromSeq: number, signal: AbortSignal): AsyncIterable<Event[]>;

  /**
   * Takes the session for `owner` for `ttlMs`, with an epoch higher than any before. Throws `failed_precondition` while another
   * owner's lease runs, unless `takeover`.
   */
  acquireLease(key: SessionKey, owner: string, ttlMs: number, options?: { takeover?: boolean }): Promise<Lease>;
  /** Throws `lease_lost` when it is over or superseded. */
  renewLease(lease: Lease, ttlMs: number): Promise<Lease>;
  /** Gives it back early; does nothing when it is over. */
  releaseLease(lease: Lease): Promise<void>;

  close(): Promise<void>;
}

export type { Event, Limits };
