import { Risk } from "@guildhall/protocol";

import { canonicalJson } from "../canonical-json.ts";
import { GuildError } from "../errors.ts";
import type { Approvals, ProposedAction } from "../ports/safety.ts";
import { actionDigest } from "./action-digest.ts";
import { type ApprovalRule, ruleFor } from "./approval-rules.ts";

export const APPROVAL_POLICIES = ["never", "always", "risky"] as const;
export const DATA_LEAVING = ["ask", "allow"] as const;
export type DataLeaving = (typeof DATA_LEAVING)[number];
export type ApprovalPolicy = (typeof APPROVAL_POLICIES)[number];

export interface ApprovalOptions {
  /** Tools that are never asked about: they touch nothing. Default think, finish and task_tracker. */
  exempt?: Iterable<string>;
  /** `ask`, the default: whatever the policy, a person is asked before private data could leave on the word of untrusted content. */
  dataLeaving?: DataLeaving;
  /** Rules for single actions, read at each judgement. */
  rules?(): readonly ApprovalRule[];
}

/**
 * When a person is asked: `never`, before `always` every action that touches anything, or before `risky` ones (high, or unknown, risk).
 * Throws `invalid_argument` for another name; an empty one means `risky`.
 */
export function approvalPolicy(name: string, options: ApprovalOptions = {}): Approvals {
  const policy = name === "" ? "risky" : name;
  if (!isPolicy(policy)) {
    throw new GuildError("invalid_argument", `unknown approval policy ${JSON.stringify(name)}`, {
      remedy: `use one of ${APPROVAL_POLICIES.join(", ")}`,
    });
  }
  const leaving = options.dataLeaving ?? "ask";
  const exempt = new Set(options.exempt ?? ["think", "finish", "task_tracker"]);
  return {
    judge: (action) => {
      const rule = ruleFor(options.rules?.() ?? [], action);
      if (rule?.decide === "refuse") return { decision: "refuse", reason: `${rule.reason ?? "a rule forbids it"} (${rule.name})` };
      const leaves = exempt.has(action.tool) ? undefined : dataCouldLeave(action, leaving);
      const reason = exempt.has(action.tool) ? undefined : reasonsOf(leaves, reasonUnder(rule, policy, action), action);
      if (reason === undefined) return { decision: "allow" };
      return { decision: "ask", reason, rule: exactRule(action), digest: actionDigest(action), dataLeaves: leaves !== undefined };
    },
  };
}

function dataCouldLeave({ exposure }: ProposedAction, leaving: DataLeaving): string | undefined {
  if (exposure === undefined || leaving === "allow") return undefined;
  return `private data could leave (${exposure.sends}) on the word of untrusted content (${exposure.untrusted})`;
}

/** What could leave comes first; what else there is to say of the action is said too, even where it alone would not have been asked about. */
function reasonsOf(leaves: string | undefined, other: string | undefined, action: ProposedAction): string | undefined {
  if (leaves === undefined) return other;
  return other === undefined ? `${leaves}${because(action.reasons)}` : `${leaves}; ${other}`;
}

/** A rule decides before the policy does. */
function reasonUnder(rule: ApprovalRule | undefined, policy: ApprovalPolicy, action: ProposedAction): string | undefined {
  if (rule?.decide === "allow") return undefined;
  if (rule?.decide === "ask") return `${rule.reason ?? "a rule asks about it"} (${rule.name})${because(action.reasons)}`;
  return reasonToAsk(policy, action);
}

function reasonToAsk(policy: ApprovalPolicy, action: ProposedAction): string | undefined {
  switch (policy) {
    case "never":
      return undefined;
    case "always":
      return `every action is asked about${because(action.reasons)}`;
    case "risky":
      if (action.risk === Risk.LOW || action.risk === Risk.MEDIUM) return undefined;
      return `${action.risk === Risk.HIGH ? "its risk is high" : "its risk is not known"}${because(action.reasons)}`;
    default:
      return policy satisfies never;
  }
}

function because(reasons: readonly string[] = []): string {
  return reasons.length === 0 ? "" : `: ${reasons.join("; ")}`;
}

/** Allows this one action and nothing else: a rule that a person is shown must not mean more than what is asked about. */
function exactRule({ tool, arguments: input, workspace }: ProposedAction): string {
  return `allow ${tool} ${canonicalJson(input)} in ${workspace}`;
}

function isPolicy(name: string): name is ApprovalPolicy {
  return APPROVAL_POLICIES.some((policy) => policy === name);
}
