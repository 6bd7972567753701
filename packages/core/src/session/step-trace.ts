import { hash } from "node:crypto";

import { ActionStatus } from "@guildhall/protocol";

import { canonicalJson } from "../canonical-json.ts";
import type { ReplyItem, SessionState } from "./state.ts";

/** Steps that stuck detection looks back on. */
const WINDOW = 20;

/** Adds a step whose calls all have their observations (or that had none) to the traces. */
export function traceStep(state: SessionState, reply: ReplyItem): SessionState {
  const observations = reply.calls.map((call) => state.observations.find(call.callId));
  const trace = {
    step: reply.step,
    actions: reply.calls.length === 0 ? "" : digest(reply.calls.map((call) => `${call.tool} ${canonicalArguments(call.arguments)}`)),
    observations: digest(observations.map((observation) => `${observation?.status} ${observation?.output}`)),
    error: observations.length > 0 && observations.every((observation) => observation?.status === ActionStatus.ERROR),
  };
  return { ...state, recent: [...state.recent.slice(1 - WINDOW), trace] };
}

function digest(parts: string[]): string {
  return hash("sha1", parts.join("\0"), "base64");
}

/** The same for arguments that differ only in their spelling. */
function canonicalArguments(text: string): string {
  try {
    return canonicalJson(JSON.parse(text));
  } catch {
    // Not JSON, or nested beyond reason: its text has to do.
    return text;
  }
}
