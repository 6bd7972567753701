import { Control, type Event } from "@guildhall/protocol";

import type { EventBody, SessionRecord } from "./ports/event-log.ts";

/** The part of a session's row that its events decide. */
export type TurnState = Pick<SessionRecord, "turnOpen" | "lastTurnEnd">;

/** Before any event. */
export const NO_TURN: TurnState = { turnOpen: false, lastTurnEnd: undefined };

/**
 * The turn state after `bodies`, whatever it was before; undefined when none of them touches it. Every EventLog keeps its session
 * rows by this function. Work and inputs that ask for work open a turn; TurnEnded closes it; a rewind or fork leaves a session that
 * waits for its next message. What a newer version added touches nothing.
 */
export function turnChange(bodies: readonly Event["body"][]): TurnState | undefined {
  let change: TurnState | undefined;
  for (const body of bodies) change = turnChangeOf(body) ?? change;
  return change;
}

function turnChangeOf(body: Event["body"]): TurnState | undefined {
  switch (body.case) {
    case "turnEnded":
      return { turnOpen: false, lastTurnEnd: { reason: body.value.reason, summary: body.value.summary } };
    case "sessionRewound":
    case "sessionForked":
      return NO_TURN;
    case "controlRequested":
      return body.value.control === Control.RESUME ? OPEN : undefined;
    case "messageReceived":
    case "approvalDecided":
    case "modelReplied":
    case "modelFailed":
    case "actionStarted":
    case "actionFinished":
    case "approvalRequested":
    case "contextCondensed":
      return OPEN;
    default:
      return undefined;
  }
}

const OPEN: TurnState = { turnOpen: true, lastTurnEnd: undefined };

/**
 * What makes an input the same as one stored before: its message id, or the approval it decides with the action that it names (a decision
 * about another action is void, and must not stand in the way of the right one); undefined when it is always new.
 */
export function inputKey(body: EventBody): string | undefined {
  if (body.case === "messageReceived" && body.value.messageId !== "") return `message:${body.value.messageId}`;
  if (body.case === "approvalDecided" && body.value.approvalId !== "")
    return `approval:${body.value.approvalId}:${body.value.actionDigest}`;
  return undefined;
}
