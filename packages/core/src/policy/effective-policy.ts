import type { ApprovalPolicy, DataLeaving } from "./approval-policy.ts";
import type { ApprovalRule } from "./approval-rules.ts";
import { presetRules } from "./network-presets.ts";
import type { NetworkLimits, NetworkPolicy, NetworkRule, SecretRule } from "./network-rule.ts";
import type { PolicyFile } from "./policy-schema.ts";

/** A policy file with the name that decisions call it by. */
export interface NamedPolicy {
  name: string;
  policy: PolicyFile;
}

/** What holds for a sandbox or session in one directory. */
export interface EffectivePolicy {
  /** Names of the files that count, the operator's first. */
  sources: string[];
  /** The least that a person is asked; undefined: no file says. */
  approvals: ApprovalPolicy | undefined;
  /** The operator's word, unless another file wants to be asked. */
  dataLeaving: DataLeaving;
  /** Rules for single actions; those of narrowing files allow nothing. */
  approvalRules: readonly ApprovalRule[];
  tools: { only: readonly string[] | undefined; deny: readonly string[] };
  network: NetworkPolicy;
  secrets: { only: readonly string[] | undefined; grants: readonly SecretRule[] };
  /** Relative to the workspace. */
  readOnly: readonly string[];
  /** The operator's exceptions from what is protected, relative to the workspace. */
  unprotected: readonly string[];
  /** The session's work goes into a copy of the workspace. */
  review: boolean;
}

/**
 * The operator's policy narrowed by others, one after the other. Pure. Whatever a later file says, the result allows nothing that it would not
 * allow without that file.
 */
export function effectivePolicy(operator: NamedPolicy | undefined, narrowing: readonly NamedPolicy[] = []): EffectivePolicy {
  const all = operator === undefined ? [...narrowing] : [operator, ...narrowing];
  return {
    sources: all.map(({ name }) => name),
    approvals: strictest(all.map(({ policy }) => policy.approvals.policy)),
    dataLeaving:
      operator?.policy.approvals.data_leaving === "allow" && all.every(({ policy }) => policy.approvals.data_leaving !== "ask")
        ? "allow"
        : "ask",
    approvalRules: all.flatMap(({ name, policy }) =>
      policy.approvals.rules
        .map((rule, index) => ({ name: `${name} approvals.rules[${index}]`, ...rule }))
        .filter((rule) => rule.decide !== "allow" || name === operator?.name),
    ),
    tools: {
      only: intersection(all.map(({ policy }) => policy.tools.only)),
      deny: [...new Set(all.flatMap(({ policy }) => policy.tools.deny))],
    },
    network: { layers: operator === undefined ? [] : layers(operator, narrowing), limits: limits(all) },
    secrets: {
      only: intersection(all.map(({ policy }) => policy.secrets.only)),
      grants: operator?.policy.secrets.grants.map(present) ?? [],
    },
    unprotected: operator?.policy.paths.unprotected ?? [],
    review: all.some(({ policy }) => policy.results.apply === "review"),
    readOnly: [...new Set(all.flatMap(({ policy }) => policy.paths.read_only))],
  };
}

/** The stricter of what a session asks for and what the policy demands. */
export function approvalsUnder(policy: EffectivePolicy, asked: ApprovalPolicy | undefined): ApprovalPolicy {
  if (asked === undefined) return policy.approvals ?? "risky";
  return strictest([asked, policy.approvals]) ?? asked;
}

/** Whether a tool is offered under the policy. */
export function isToolAllowed(policy: EffectivePolicy, tool: string): boolean {
  if (tool === "finish") return true; // without it nothing could ever end well
  return !policy.tools.deny.includes(tool) && (policy.tools.only?.includes(tool) ?? true);
}

const STRICTNESS: readonly ApprovalPolicy[] = ["never", "risky", "always"];

function strictest(policies: readonly (ApprovalPolicy | undefined)[]): ApprovalPolicy | undefined {
  return STRICTNESS.findLast((policy) => policies.includes(policy));
}

/** Permissions of each file are a layer of their own; its refusals hold in the first, so that they hold whether or not it permits anything. */
function layers(operator: NamedPolicy, narrowing: readonly NamedPolicy[]): NetworkRule[][] {
  if ([operator, ...narrowing].some(({ policy }) => !policy.network.enabled)) return [];
  const refusals = narrowing.flatMap((one) => rulesOf(one).filter((rule) => rule.refuse === true));
  const permissions = narrowing.map((one) => rulesOf(one).filter((rule) => rule.refuse !== true)).filter((rules) => rules.length > 0);
  return [[...rulesOf(operator), ...refusals], ...permissions];
}

function rulesOf({ name, policy }: NamedPolicy): NetworkRule[] {
  const { presets, rules } = policy.network;
  return [...presets.flatMap(presetRules), ...rules.map((rule, index) => ({ id: `${name} network.rules[${index}]`, ...present(rule) }))];
}

function limits(all: readonly NamedPolicy[]): NetworkLimits {
  const given = all.map(({ policy }) => policy.network.limits);
  const least = (values: (number | undefined)[]): number | undefined => {
    const known = values.filter((value) => value !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  };
  return present({
    requestsPerMinute: least(given.map((one) => one.requests_per_minute)),
    concurrent: least(given.map((one) => one.concurrent)),
    bytes: least(given.map((one) => (one.megabytes === undefined ? undefined : Math.floor(one.megabytes * 1_000_000)))),
    idleMs: least(given.map((one) => (one.idle_seconds === undefined ? undefined : one.idle_seconds * 1000))),
  });
}

function intersection(lists: readonly (readonly string[] | undefined)[]): readonly string[] | undefined {
  const given = lists.filter((list) => list !== undefined);
  const [first, ...rest] = given;
  return first?.filter((name) => rest.every((list) => list.includes(name)));
}

type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Without what is undefined. */
function present<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as Present<T>;
}
