import { canonicalJson } from "../canonical-json.ts";
import type { ProposedAction } from "../ports/safety.ts";
import { actionDigest } from "./action-digest.ts";

export const RULE_DECISIONS = ["allow", "ask", "refuse"] as const;

/** What is to happen with certain actions, whatever the policy says of others. */
export interface ApprovalRule {
  /** What it is called where it decides: `policy.toml approvals.rules[0]`, the id of a saved one. */
  name: string;
  decide: (typeof RULE_DECISIONS)[number];
  /** A tool's name; `*`: any. */
  tool: string;
  /** What is compared with the command, or for other tools with the arguments as canonical JSON; `*` stands for any text. Undefined: anything. */
  match?: string | undefined;
  /** Digest of the one action that it holds for. */
  digest?: string | undefined;
  /** Why, for who is asked or refused. */
  reason?: string | undefined;
}

/** The rule that holds for an action: the strictest of those that fit. Pure. */
export function ruleFor(rules: readonly ApprovalRule[], action: ProposedAction): ApprovalRule | undefined {
  const fitting = rules.filter((rule) => fits(rule, action));
  return RULE_DECISIONS.toReversed()
    .map((decide) => fitting.find((rule) => rule.decide === decide))
    .find((rule) => rule !== undefined);
}

function fits(rule: ApprovalRule, action: ProposedAction): boolean {
  if (rule.tool !== "*" && rule.tool !== action.tool) return false;
  if (rule.digest !== undefined && rule.digest !== actionDigest(action)) return false;
  if (rule.match === undefined) return true;
  const { command } = (action.arguments ?? {}) as { command?: unknown };
  const subject = action.tool === "bash" && typeof command === "string" ? command.trim() : canonicalJson(action.arguments);
  // What is allowed by a pattern must not reach beyond the one command that was meant: no second one may follow it.
  const any = rule.decide === "allow" ? "[^;&|<>$`(){}\\n\\\\]*" : "[\\s\\S]*";
  const expression = rule.match.split("*").map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, "\\$&"));
  return new RegExp(`^${expression.join(any)}$`).test(subject);
}
