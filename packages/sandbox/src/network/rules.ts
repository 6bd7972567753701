/** One line of a network policy. What is not named does not matter. */
export interface NetworkRule {
  /** Shown in decisions: `npm`, `policy.toml:12`. */
  id: string;
  /** `example.com`, or `*.example.com` for every name below it (itself not). */
  host: string;
  /** Default 443 only. */
  ports?: readonly number[];
  /** Upper case. Default all. */
  methods?: readonly string[];
  /** A path, or with a final `*` all paths that begin so. Default all. */
  paths?: readonly string[];
  /** Plain HTTP too, for hosts that have no TLS. Default false. */
  plain?: boolean;
  /** Default allow. A refusal wins over every permission. */
  refuse?: boolean;
}

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

/** What the rules say of one request. Pure. */
export function judgeRequest(rules: readonly NetworkRule[], request: OutgoingRequest): NetworkVerdict {
  const matching = rules.filter((rule) => matches(rule, request));
  const refusal = matching.find((rule) => rule.refuse === true);
  if (refusal !== undefined) return { allowed: false, rule: refusal.id, reason: `refused by ${refusal.id}` };
  const permission = matching.find((rule) => rule.refuse !== true);
  if (permission !== undefined) return { allowed: true, rule: permission.id, reason: `allowed by ${permission.id}` };
  return { allowed: false, rule: "", reason: whyNone(rules, request) };
}

/** Whether a tunnel to this host and port can lead to anything allowed, before its requests are known. */
export function mayConnect(rules: readonly NetworkRule[], host: string, port: number): NetworkVerdict {
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

/** Compared after normalisation of the request, so that `/a/../b` and `%2e%2e` cannot slip by a prefix. */
function matchesPath(pattern: string, path: string): boolean {
  return pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

function whyNone(rules: readonly NetworkRule[], request: OutgoingRequest): string {
  const sameHost = rules.filter((rule) => rule.refuse !== true && matchesHost(rule.host, request.host));
  if (sameHost.length === 0) return `no rule allows ${request.host}`;
  if (!request.secure && !sameHost.some((rule) => rule.plain === true)) return `${request.host} is allowed with TLS only`;
  return `no rule of ${request.host} allows ${request.method} ${request.path} on port ${request.port}`;
}
