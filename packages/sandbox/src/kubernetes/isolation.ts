import { lookup } from "node:dns/promises";

import { GuildError, type Sandbox } from "@guildhall/core";

import { TOOLKIT_MOUNT } from "../toolkit.ts";
import type { KubernetesApi } from "./api.ts";

interface Requirement {
  key: string;
  operator: string;
  values?: string[];
}

/** The part of a NetworkPolicy that is looked at. */
export interface NetworkPolicyObject {
  metadata: { name: string };
  spec: {
    podSelector?: { matchLabels?: Record<string, string>; matchExpressions?: Requirement[] };
    policyTypes?: string[];
    ingress?: unknown[];
    egress?: unknown[];
  };
}

/** What leaves pods with these labels a network, by the policies of their namespace; undefined: nothing does. Policies add up, and no policy is none. */
export function openings(policies: readonly NetworkPolicyObject[], labels: Readonly<Record<string, string>>): string | undefined {
  const chosen = policies.filter(({ spec }) => selects(spec.podSelector, labels));
  for (const direction of ["Egress", "Ingress"] as const) {
    const about = chosen.filter(({ spec }) => (spec.policyTypes ?? ["Ingress"]).includes(direction));
    if (about.length === 0) return `no NetworkPolicy closes the ${direction.toLowerCase()} of sandboxes`;
    const open = about.find(({ spec }) => (spec[direction === "Egress" ? "egress" : "ingress"] ?? []).length > 0);
    if (open !== undefined) return `the NetworkPolicy ${open.metadata.name} opens the ${direction.toLowerCase()} of sandboxes`;
  }
  return undefined;
}

function selects(selector: NetworkPolicyObject["spec"]["podSelector"], labels: Readonly<Record<string, string>>): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector ?? {};
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === "Exists") return value !== undefined;
      if (operator === "DoesNotExist") return value === undefined;
      const among = value !== undefined && values.includes(value);
      return operator === "In" ? among : !among;
    })
  );
}

/** Throws `failed_precondition` when the namespace's policies leave sandboxes a network. */
export async function requireClosed(api: KubernetesApi, labels: Readonly<Record<string, string>>): Promise<void> {
  const list = (await api.call("GET", "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")) as {
    items: NetworkPolicyObject[];
  };
  const open = openings(list.items, labels);
  if (open === undefined) return;
  throw new GuildError("failed_precondition", `sandboxes of ${await api.namespace()} would have a network: ${open}`, {
    subject: await api.namespace(),
    remedy: "install the policy of deploy/chart/templates/sandboxes.yaml (sandboxes.kind=kubernetes)",
  });
}

/**
 * Tries from inside to reach the API server, which every pod without a policy can: many clusters take policies and enforce none. Throws
 * `failed_precondition` when it answers.
 */
export async function requireEnforced(api: KubernetesApi, sandbox: Sandbox): Promise<void> {
  const { hostname, port, protocol } = api.server;
  const { address } = await lookup(hostname.replaceAll(/[[\]]/g, ""));
  const target = `/dev/tcp/${address}/${port || (protocol === "https:" ? "443" : "80")}`;
  const execution = await sandbox.exec({
    argv: [`${TOOLKIT_MOUNT}/bin/bash`, "-c", `exec 3<>${target} && echo reached`],
    cwd: "/",
    limits: { wallSeconds: 3 },
  });
  let said = "";
  for await (const { stream, bytes } of execution.output) if (stream === "stdout") said += Buffer.from(bytes).toString("latin1");
  await execution.close();
  if (!said.includes("reached")) return;
  throw new GuildError("failed_precondition", "this cluster does not enforce NetworkPolicy: a sandbox reached the API server", {
    subject: api.server.origin,
    remedy: "use a network plugin that enforces policies (Calico, Cilium, …), or --sandbox bubblewrap in the worker's pod",
  });
}
