/** One line of a network policy. What is not named does not matter. */
export interface NetworkRule {
  /** Shown in decisions: `npm`, `policy.toml network.rules[0]`. */
  id: string;
  /** `example.com`, or `*.example.com` for every name below it (itself not). */
  host: string;
  /** Default 443 only. */
  ports?: readonly number[];
  /** Upper case. Default all. */
  methods?: readonly string[];
  /** Paths; `*` stands for any text, slashes included. Default all. */
  paths?: readonly string[];
  /** Plain HTTP too, for hosts that have no TLS. Default false. */
  plain?: boolean;
  /** Default allow. A refusal wins over every permission. */
  refuse?: boolean;
}

/** How much a sandbox may ask for and move; what is left out has the proxy's default. */
export interface NetworkLimits {
  requestsPerMinute?: number;
  concurrent?: number;
  /** Both directions together, over the life of the sandbox, bytes. */
  bytes?: number;
  /** A request without any progress for so long is given up, milliseconds. */
  idleMs?: number;
}

/**
 * What may leave a sandbox: a request goes out when every layer allows it; no layer: nothing does. The first is the operator's, each further
 * one can only narrow it.
 */
export interface NetworkPolicy {
  layers: readonly (readonly NetworkRule[])[];
  limits: NetworkLimits;
}

/** Where a secret may go. */
export interface SecretRule {
  /** Name in the store. */
  secret: string;
  /** `api.example.com` or `*.example.com`. */
  host: string;
  /** Upper case; default all. */
  methods?: readonly string[];
  /** As of a network rule; default all. */
  paths?: readonly string[];
  /** Variable that holds the placeholder inside; default the secret's name. */
  env?: string;
}

/** False: no request could ever go out, so that nothing need be started for it. */
export function isNetworkOpen(policy: NetworkPolicy): boolean {
  return policy.layers.length > 0 && policy.layers.every((layer) => layer.some((rule) => rule.refuse !== true));
}
