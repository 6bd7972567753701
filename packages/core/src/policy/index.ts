/** What may happen without asking, and what it may cost. */
export { actionDigest } from "./action-digest.ts";
export { APPROVAL_POLICIES, type ApprovalOptions, type ApprovalPolicy, approvalPolicy, type DataLeaving } from "./approval-policy.ts";
export type { ApprovalRule } from "./approval-rules.ts";
export { sharedBudget, unlimitedBudgets } from "./budgets.ts";
export { isManifest, newInstallScripts, withInstallScripts } from "./install-scripts.ts";
export { isBelow, isProtectedAsLink, protectedPart } from "./protected-files.ts";
export { isNetworkOpen, type NetworkLimits, type NetworkPolicy, type NetworkRule, type SecretRule } from "./network-rule.ts";
