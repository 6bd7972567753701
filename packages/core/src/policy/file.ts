/** The policy file: apart from the rest of the domain, so that clients need not load what reads it. */
export { approvalsUnder, effectivePolicy, type EffectivePolicy, isToolAllowed, type NamedPolicy } from "./effective-policy.ts";
export { NETWORK_PRESETS, type NetworkPreset } from "./network-presets.ts";
export { type PolicyFile, policySchema } from "./policy-schema.ts";
export { type PolicyOwner, readPolicy } from "./read-policy.ts";
