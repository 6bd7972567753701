import type { NetworkRule } from "@guildhall/core";

/** A request as the proxy has understood it; host canonical (`parseHost`). */
export interface OutgoingRequest {
  secure: boolean;
  host: string;
  port: number;
  method: string;
  /** Path without query. */
  path: string;
}

export interface NetworkVerdict {
  allowed: boolean;
  /** The rule that decided; empty: none matched, and nothing goes out by default. */
  rule: string;
  reason: string;
}

/** Rules of which each layer must allow a request: the operator's, and further ones that narrow it. */
export type Layers = readonly (readonly NetworkRule[])[];

const CLOSED: NetworkVerdict = { allowed: false, rule: "", reason: "the network is closed" };

/** What all layers say of one request: the first refusal, else what the first layer allows it by. Pure. */
export function judgeRequest(layers: Layers, request: OutgoingRequest): NetworkVerdict {
  return decide(layers, (rules) => judgeLayer(rules, request));
}

/** Whether a tunnel to this host and port can lead to anything allowed, before its requests are known. */
export function mayConnect(layers: Layers, host: string, port: number): NetworkVerdict {
  return decide(layers, (rules) => mayLead(rules, host, port));
}

/** Whether a name may be looked up: where something may be asked of it. */
export function mayResolve(layers: Layers, host: string): NetworkVerdict {
  return decide(layers, (rules) => {
    const rule = rules.find((candidate) => candidate.refuse !== true && matchesHost(candidate.host, host));
    if (rule === undefined) return { allowed: false, rule: "", reason: `no rule allows ${host}` };
    const shut = rules.find(
      (one) => one.refuse === true && matchesHost(one.host, host) && one.paths === undefined && one.methods === undefined,
    );
    if (shut !== undefined) return { allowed: false, rule: shut.id, reason: `refused by ${shut.id}` };
    return { allowed: true, rule: rule.id, reason: `allowed by ${rule.id}` };
  });
}

function decide(layers: Layers, judge: (rules: readonly NetworkRule[]) => NetworkVerdict): NetworkVerdict {
  const verdicts = layers.map(judge);
  return verdicts.find((verdict) => !verdict.allowed) ?? verdicts[0] ?? CLOSED;
}

function judgeLayer(rules: readonly NetworkRule[], request: OutgoingRequest): NetworkVerdict {
  const matching = rules.filter((rule) => matches(rule, request));
  const refusal = matching.find((rule) => rule.refuse === true);
  if (refusal !== undefined) return { allowed: false, rule: refusal.id, reason: `refused by ${refusal.id}` };
  const permission = matching.find((rule) => rule.refuse !== true);
  if (permission !== undefined) return { allowed: true, rule: permission.id, reason: `allowed by ${permission.id}` };
  return { allowed: false, rule: "", reason: whyNone(rules, request) };
}

function mayLead(rules: readonly NetworkRule[], host: string, port: number): NetworkVerdict {
  const rule = rules.find((candidate) => candidate.refuse !== true && matchesHost(candidate.host, host) && matchesPort(candidate, port));
  return rule === undefined
    ? { allowed: false, rule: "", reason: `no rule allows ${host}:${port}` }
    : { allowed: true, rule: rule.id, reason: `${rule.id} may allow it` };
}

export function matchesHost(pattern: string, host: string): boolean {
  return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) && host.length >= pattern.length : host === pattern;
}

function matches(rule: NetworkRule, request: OutgoingRequest): boolean {
  return (
    matchesHost(rule.host, request.host) &&
    matchesPort(rule, request.port) &&
    (request.secure || rule.plain === true || rule.refuse === true) &&
    (rule.methods === undefined || rule.methods.includes(request.method)) &&
    (rule.paths === undefined || rule.paths.some((path) => matchesPath(path, request.path)))
  );
}

function matchesPort(rule: NetworkRule, port: number): boolean {
  return rule.ports?.includes(port) ?? (port === 443 || (port === 80 && rule.plain === true) || rule.refuse === true);
}

/**
 * `*` stands for any text. Compared after normalisation of the request, so that `/a/../b` and `%2e%2e` cannot slip by a prefix. In linear
 * time for what people write: each piece is looked for once, from where the one before ended.
 */
export function matchesPath(pattern: string, path: string): boolean {
  const pieces = pattern.split("*");
  const [first = "", ...rest] = pieces;
  const last = rest.pop();
  if (last === undefined) return path === pattern;
  if (!path.startsWith(first)) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = path.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  return path.length - last.length >= at && path.endsWith(last);
}

function whyNone(rules: readonly NetworkRule[], request: OutgoingRequest): string {
  const sameHost = rules.filter((rule) => rule.refuse !== true && matchesHost(rule.host, request.host));
  if (sameHost.length === 0) return `no rule allows ${request.host}`;
  if (!request.secure && !sameHost.some((rule) => rule.plain === true)) return `${request.host} is allowed with TLS only`;
  return `no rule of ${request.host} allows ${request.method} ${request.path} on port ${request.port}`;
}
