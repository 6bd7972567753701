import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { body, type EventBody, type OpenCall, type ProposedAction, type SessionState } from "@guildhall/core";
import { ActionStatus, Control } from "@guildhall/protocol";

import { NOT_RUN, ORPHANED, SUPERSEDED } from "./notices.ts";
import type { Rules } from "./rules.ts";
import { conflict, type PreparedCall } from "./tools/index.ts";

/** What is to be done about the calls without an observation. */
export interface OpenCalls {
  /** To be recorded first: intents, questions to a person, and observations of calls that will not run. */
  events: EventBody[];
  /** Their intent is durable under this worker's lease: to be run now. */
  running: PreparedCall[];
  /** They wait for a person until then, milliseconds since 1970; undefined: none does. */
  askedUntil: number | undefined;
}

/**
 * Goes through the open calls in the order in which they were made. A call that may not begin yet (a person is asked, a pause) holds
 * back the later ones that touch what it touches, so that the outcome is that of running them one after another. Pure.
 */
export function openCalls(state: SessionState, rules: Rules): OpenCalls {
  const result: OpenCalls = { events: [], running: [], askedUntil: undefined };
  const held: PreparedCall[] = [];
  const hold = rules.draining || state.control?.control === Control.PAUSE;

  for (const call of state.open) {
    const close = (status: ActionStatus, output: string) =>
      result.events.push(body.actionFinished({ callId: call.callId, status, output }));
    if (!call.started && call.replySeq !== state.lastReply?.seq) {
      close(ActionStatus.INTERRUPTED, NOT_RUN);
      continue;
    }
    if (!call.started && superseded(state, call)) {
      close(call.approval ? ActionStatus.REFUSED : ActionStatus.INTERRUPTED, SUPERSEDED);
      continue;
    }
    if (call.started && call.started.epoch !== rules.epoch && !call.started.repeatable) {
      close(ActionStatus.INTERRUPTED, ORPHANED);
      continue;
    }
    const outcome = rules.prepare(call);
    if ("refused" in outcome) {
      close(ActionStatus.ERROR, outcome.refused.output);
      continue;
    }
    const { prepared } = outcome;
    if (call.started?.epoch === rules.epoch) {
      result.running.push(prepared);
      continue;
    }
    if (hold || rules.held(call) || held.some((earlier) => conflict(earlier.resources, prepared.resources))) {
      held.push(prepared);
      continue;
    }
    const ruling = judge(state, state.seq + result.events.length + 1, call, prepared, rules);
    switch (ruling.verdict) {
      case "start":
        result.events.push(
          body.actionStarted({ callId: call.callId, tool: call.tool, risk: prepared.risk, repeatable: prepared.repeatable }),
        );
        break;
      case "refuse":
        close(ActionStatus.REFUSED, ruling.output);
        break;
      case "ask":
        result.events.push(ruling.request);
        held.push(prepared);
        break;
      case "wait":
        result.askedUntil = Math.min(result.askedUntil ?? Infinity, ruling.until);
        held.push(prepared);
        break;
      default:
        ruling satisfies never;
    }
  }
  return result;
}

type Ruling =
  | { verdict: "start" }
  | { verdict: "refuse"; output: string }
  | { verdict: "ask"; request: EventBody }
  | { verdict: "wait"; until: number };

/**
 * The policy's word, and a person's where it wants one. A decision holds for the digest that was asked about and for nothing else. A question
 * is named by `seq`, where it will stand in the log: so no other ever has its name, not even after a rewind.
 */
function judge(state: SessionState, seq: number, call: OpenCall, prepared: PreparedCall, rules: Rules): Ruling {
  // An intent that is durable was allowed when it was written.
  if (call.started) return { verdict: "start" };
  const verdict = rules.approvals.judge({
    callId: call.callId,
    tool: call.tool,
    arguments: prepared.input,
    risk: prepared.risk,
    ...(prepared.reasons === undefined ? {} : { reasons: prepared.reasons }),
    workspace: state.info.workspace,
    ...exposure(state, prepared),
  });
  if (verdict.decision === "allow") return { verdict: "start" };
  if (verdict.decision === "refuse") return { verdict: "refuse", output: `Refused by policy: ${verdict.reason}. Nothing was done.` };

  const { approval } = call;
  if (approval === undefined || approval.digest !== verdict.digest) {
    const request = body.approvalRequested({
      approvalId: `apr_${seq}`,
      callId: call.callId,
      actionDigest: verdict.digest,
      risk: prepared.risk,
      reason: verdict.reason,
      rule: verdict.rule,
      dataLeaves: verdict.dataLeaves === true,
      expires: timestampFromMs(rules.now + rules.approvalTtlMs),
    });
    return { verdict: "ask", request };
  }
  if (approval.decision?.granted === true) return { verdict: "start" };
  if (approval.decision !== undefined) {
    const comment = approval.decision.comment === "" ? "." : `: ${approval.decision.comment}`;
    return { verdict: "refuse", output: `The person said no${comment}\nNothing was done.` };
  }
  if (rules.now > approval.expires) return { verdict: "refuse", output: "Nobody decided in time, so this was not run." };
  return { verdict: "wait", until: approval.expires };
}

/** Private data, untrusted content and a way out: whoever wrote that content could have the data. */
function exposure({ exposure: { untrusted, private: read } }: SessionState, { sends }: PreparedCall): Pick<ProposedAction, "exposure"> {
  return untrusted === "" || !read || sends === undefined ? {} : { exposure: { sends, untrusted } };
}

/** A call that an earlier turn left waiting undecided, and a turn that a message has opened: the person changed the subject. */
function superseded(state: SessionState, call: OpenCall): boolean {
  return call.turn !== state.turn.number && state.turn.openedBy === "message" && call.approval?.decision === undefined;
}
