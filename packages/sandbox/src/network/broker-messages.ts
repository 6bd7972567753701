import type { NetworkLimits, NetworkRule } from "@guildhall/core";

import type { SecretGrant } from "../secrets/placeholder.ts";
import type { NetworkDecision } from "./proxy.ts";

/** What one sandbox may reach and use. Values travel by the private pipe between daemon and broker alone. */
export interface WayOutRules {
  layers: NetworkRule[][];
  limits: NetworkLimits;
  grants: SecretGrant[];
  /** Values of the granted secrets, by name. */
  values: Record<string, string>;
}

/** From the daemon to the broker. The first is `start`; with `open` comes the listening socket. */
export type ToBroker =
  /** Load everything, then become this user for good. */
  | { id: number; op: "start"; user: { uid: number; gid: number } | undefined }
  | { id: number; op: "open"; wayOut: string; rules: WayOutRules }
  | { id: number; op: "change"; wayOut: string; rules: WayOutRules }
  /** Nothing but an answer: what was decided before it has been told before it. */
  | { id: number; op: "settle" }
  | { id: number; op: "close"; wayOut: string };

/** From the broker to the daemon. */
export type FromBroker =
  | { id: number; op: "done"; certificate?: string }
  | { id: number; op: "failed"; message: string }
  | { op: "decision"; wayOut: string; decision: NetworkDecision };
