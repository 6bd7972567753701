import type { StuckRule } from "./stuck.ts";

/** What the model is told of its own going round in circles, once, before the turn is ended for it. */
export function stuckNotice(rule: StuckRule): string {
  return `You are going round in circles: ${STUCK[rule]}. Do something different: question your last assumption, look at the facts again, or call finish with done=false and say what stands in the way.`;
}

export const STUCK: Record<StuckRule, string> = {
  repeat: "the last four steps were the same, with the same result",
  error: "the same call failed three times",
  monologue: "three replies in a row did nothing",
  alternation: "the last six steps alternate between the same two",
  context: "the conversation outgrew your context three times within six steps, so that you keep forgetting what you did",
};

/** Said when a reply has text and no call, and nobody is there to read it. */
export const NO_CALL_NOTICE =
  "Nobody reads this run while it goes. Use a tool to go on; when the goal is reached, or cannot be, call finish with a summary.";

/** Said when a session goes on with other processes than it had. */
export const RESTART_NOTICE =
  "The session was resumed. Files are as they were; shells, their variables and current directory, and background processes are gone.";

/** What the model is told of a reply that could not be used. */
export function failureNotice(kind: string, message: string): string {
  return `Your last reply could not be used and nothing in it was run: ${FAILURES[kind] ?? message}`;
}

const FAILURES: Record<string, string> = {
  empty: "it was empty. Call a tool, or say something.",
  truncated: "it was cut off at the limit for one reply. Make it shorter: split a large file or command into several calls.",
  malformed: "it was malformed. Write each call's arguments as one complete JSON object.",
  too_large: "it was too large. Make it shorter: split it into several replies.",
  cut: "the connection broke before it was complete. Send it again.",
  context_overflow: "the conversation had outgrown your context. Older parts of it have now been left out.",
};

/** Observation of a call that had begun when its worker died or was stopped. */
export const ORPHANED = "Interrupted: the worker stopped while this ran. How far it came is not known; check before you run it again.";
/** Observations of calls that a person interrupted, while they ran and before. */
export const INTERRUPTED = "Interrupted while it ran. How far it came is not known; check before you run it again.";
export const NOT_RUN = "Interrupted before it ran; nothing was done.";
/** Observation of a call that waited for the person, who wrote a message instead. */
export const SUPERSEDED = "Not run: the person wrote a message instead.";
