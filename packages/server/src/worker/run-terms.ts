import type { RunDeps } from "@guildhall/agent";
import type { ApprovalRule, Budgets, EventLog, ModelProvider, SessionRecord } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";

import { RuleStore } from "../approvals/rule-store.ts";
import { sessionApprovals } from "../approvals/session-approvals.ts";
import type { SessionTree } from "../delegation/session-tree.ts";
import { bothBudgets, treeBudgets } from "../delegation/tree-budgets.ts";
import { sessionModels } from "../models/session-models.ts";

/** What the settings and policies of this daemon say of each session's run: models, budgets, approvals. */
export function createRunTerms(deps: {
  log: EventLog;
  tree: SessionTree;
  /** Above the sessions: organisation, project, task. */
  budgets: Budgets;
  settings(): Settings;
  models(): Promise<ModelProvider>;
  rulesFile: string;
  policyRules(workspace: string): readonly ApprovalRule[];
}): {
  rules: RuleStore;
  of(
    record: SessionRecord,
    credentials: Readonly<Record<string, string>>,
  ): Pick<RunDeps, "openModel" | "openSummariser" | "mostItems" | "budgets" | "approvalRules" | "actionJudge">;
} {
  const { settings, models } = deps;
  const rules = new RuleStore(deps.rulesFile);
  const budgets = bothBudgets(deps.budgets, treeBudgets(deps.log, deps.tree));
  return {
    rules,
    of: (record, credentials) => ({
      budgets,
      ...sessionApprovals({ rules, settings, models, policyRules: deps.policyRules }, record, credentials),
      ...sessionModels({ models, settings, credentials }),
    }),
  };
}
