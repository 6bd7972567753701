import { createModelJudge, type RunDeps } from "@guildhall/agent";
import type { ApprovalRule, ModelProvider, SessionRecord } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";

import type { RuleStore } from "./rule-store.ts";

/** What decides of a session's actions beside its policy: rules of the policy files, saved ones, and a model where the settings name one. */
export function sessionApprovals(
  deps: {
    rules: RuleStore;
    settings(): Settings;
    models(): Promise<ModelProvider>;
    policyRules(workspace: string): readonly ApprovalRule[];
  },
  record: SessionRecord,
  credentials: Readonly<Record<string, string>>,
): Pick<RunDeps, "approvalRules" | "actionJudge"> {
  const { judge } = deps.settings().approval;
  return {
    approvalRules: () => [...deps.policyRules(record.workspace), ...deps.rules.for(record.workspace, record.session)],
    ...(judge === ""
      ? {}
      : { actionJudge: createModelJudge(async () => (await deps.models()).open({ spec: judge, credentials: { ...credentials } })) }),
  };
}
