import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { EMPTY_SESSION, type EventLog, fold, type SessionRecord, type SessionState, sessionStatus, statusFacts } from "@guildhall/core";
import { type Session, SessionSchema, type TurnEndReason, UsageSchema } from "@guildhall/protocol";

/** Tells sessions as clients see them. */
export interface SessionDescriber {
  describe(record: SessionRecord): Promise<Session>;
}

/**
 * Folds a session's events to describe it; what was folded of resting sessions is remembered for the next time, of the `remembered` most
 * recent ones.
 */
export function createSessionDescriber(log: EventLog, isLeased: (record: SessionRecord) => boolean, remembered = 500): SessionDescriber {
  const known = new Map<string, { seq: number; facts: Facts }>();
  return {
    async describe(record) {
      const before = known.get(record.session);
      const facts = before?.seq === record.lastSeq ? before.facts : factsOf(await foldSession(log, record));
      known.delete(record.session);
      known.set(record.session, { seq: record.lastSeq, facts });
      for (const oldest of known.keys()) {
        if (known.size <= remembered) break;
        known.delete(oldest);
      }
      return message(record, facts, isLeased(record));
    },
  };
}

/** The state after a session's events up to `through`, read in pages. */
export async function foldSession(log: EventLog, record: SessionRecord, through = record.lastSeq): Promise<SessionState> {
  let state = EMPTY_SESSION;
  while (state.seq < through) {
    const events = await log.read(record, state.seq + 1, Math.min(500, through - state.seq));
    if (events.length === 0) break;
    for (const event of events) state = fold(state, event);
  }
  return state;
}

interface Facts {
  model: string;
  sandbox: string;
  steps: number;
  spent: SessionState["spent"];
  asking: boolean;
}

function factsOf(state: SessionState): Facts {
  const { info, steps, spent } = state;
  return { model: info.model, sandbox: info.sandbox, steps, spent, asking: statusFacts(state, true).asking === true };
}

function message(record: SessionRecord, facts: Facts, leased: boolean): Session {
  const { spent } = facts;
  const status = sessionStatus({
    turnOpen: record.turnOpen,
    endReason: record.lastTurnEnd?.reason as TurnEndReason | undefined,
    leased,
    asking: facts.asking,
  });
  return create(SessionSchema, {
    id: record.session,
    title: record.title,
    workspace: record.workspace,
    model: facts.model,
    sandbox: facts.sandbox,
    status,
    created: timestampFromDate(record.created),
    updated: timestampFromDate(record.updated),
    lastSeq: record.lastSeq,
    steps: facts.steps,
    usage: create(UsageSchema, {
      inputTokens: spent.inputTokens,
      cachedInputTokens: spent.cachedInputTokens,
      cacheWriteTokens: spent.cacheWriteTokens,
      outputTokens: spent.outputTokens,
      reasoningTokens: spent.reasoningTokens,
      costUsd: spent.costUsd,
      costKnown: spent.costKnown && facts.steps > 0,
    }),
    summary: record.lastTurnEnd?.summary ?? "",
    parentId: record.parent ?? "",
  });
}
