import { isNetworkOpen, type Masker, type SandboxSpec, type Secrets, type SecretRule } from "@guildhall/core";
import type { EffectivePolicy } from "@guildhall/core/policy-file";
import type { Broker, NetworkDecision, WayOut, WayOutRules } from "@guildhall/sandbox";

import { protectedPaths } from "../results/protected-paths.ts";
import type { GrantStore } from "../secrets/grants.ts";
import { makePlaceholders, type Placeholders } from "../secrets/placeholders.ts";
import type { Policies } from "../trust/policies.ts";

/** What policy gives a sandbox and takes from it. */
export interface Surroundings {
  readonly spec: Pick<SandboxSpec, "wayOut" | "env" | "readOnly" | "writable">;
  /** Resolves when the sandbox has lost its way out and wants to be replaced. Undefined: it has none. */
  readonly lost?: Promise<void>;
  /** Resolves when every decision made so far is where it is kept. Undefined: none are made. */
  settle?(): Promise<void>;
  /** After the sandbox has gone. Idempotent. */
  close(): Promise<void>;
}

export interface SurroundingsRequest {
  workspace: string;
  /** Name of the sandbox provider. */
  provider: string;
  /** What is to be read-only beside what policy says. Default: all that is protected. */
  protect?(): Promise<Pick<SandboxSpec, "readOnly" | "writable">>;
  /** Undefined: no session, tools alone. */
  session?: string;
  /** Learns the values of granted secrets. */
  masker: Masker;
  /** Called at every decision. */
  report(decision: NetworkDecision): void;
  /** Called when all decisions so far have been told, and are to be kept. */
  reported?(): Promise<void>;
}

export interface SurroundingsDeps {
  policies: Policies;
  grants: GrantStore;
  /** Opened when the first secret is wanted. */
  secrets(): Promise<Secrets>;
  /** Names of the secrets of a store that costs nothing to ask; none of one that is far away, or that nobody has made. */
  storedNames(): Promise<string[]>;
  /** Started when the first sandbox may use the network. */
  broker(): Promise<Broker>;
}

/**
 * Opens the surroundings of sandboxes, and keeps those that are open up to date with grants. Where the policy opens nothing, and no path is
 * protected, this does nothing at all.
 */
export class SurroundingsDesk {
  readonly #deps: SurroundingsDeps;
  readonly #open = new Set<() => Promise<void>>();

  constructor(deps: SurroundingsDeps) {
    this.#deps = deps;
  }

  async open(request: SurroundingsRequest): Promise<Surroundings> {
    const { policy } = this.#deps.policies.of(request.workspace);
    const given = (await request.protect?.()) ?? { readOnly: protectedPaths(request.workspace, policy.unprotected) };
    const guarded = { ...given, readOnly: [...policy.readOnly, ...(given.readOnly ?? [])] };
    await this.teach(request.workspace, request.masker);
    // Without isolation there is no way out to guard, and nothing that a placeholder could be kept from.
    if (request.provider === "host" || !isNetworkOpen(policy.network)) return { spec: guarded, close: async () => undefined };
    const known = new Map<string, string>();
    const { rules, env } = await this.#rulesOf(request, policy, known);
    const wayOut: WayOut = await (await this.#deps.broker()).open(rules, (decision) => request.report(decision));
    const refresh = async (): Promise<void> => {
      const now = await this.#rulesOf(request, this.#deps.policies.of(request.workspace).policy, known);
      await wayOut.change(now.rules);
    };
    const forget = (): void => void this.#open.delete(refresh);
    wayOut.lost.then(forget, forget);
    this.#open.add(refresh);
    return {
      spec: { ...guarded, env, wayOut },
      lost: wayOut.lost,
      settle: async () => {
        await wayOut.settle();
        await request.reported?.();
      },
      close: async () => {
        forget();
        await wayOut.close();
        await request.reported?.();
      },
    };
  }

  /** Brings all open ways out up to date: grants and values, policies and trust. */
  async refresh(): Promise<void> {
    await Promise.all([...this.#open].map((refresh) => refresh()));
  }

  /** The grants that hold for a sandbox: the operator's file's and those given by hand, without what a policy leaves out. */
  rules(policy: EffectivePolicy, workspace: string, session: string | undefined): SecretRule[] {
    const all = [...policy.secrets.grants, ...this.#deps.grants.for(workspace, session)];
    return all.filter(({ secret }) => policy.secrets.only?.includes(secret) ?? true);
  }

  /**
   * Every secret that a grant names, and every one of a store at hand, is masked, wherever it may go and whether or not it may be used: files
   * of a workspace can hold it all the same.
   */
  async teach(workspace: string, masker: Masker): Promise<void> {
    const { policy } = this.#deps.policies.of(workspace);
    const granted = [...policy.secrets.grants, ...this.#deps.grants.list()].map(({ secret }) => secret);
    const names = new Set([...granted, ...(await this.#deps.storedNames())]);
    if (names.size === 0) return;
    // A store that cannot be opened is told of where the secret is to be used; a session that uses none goes on.
    const secrets = await this.#deps.secrets().catch(() => undefined);
    // The same holds for one that cannot be read.
    const values = await Promise.all([...names].map(async (name) => await secrets?.get(name).catch(() => undefined)));
    masker.add(values.filter((value) => value !== undefined));
  }

  async #rulesOf(
    request: SurroundingsRequest,
    policy: EffectivePolicy,
    known: Map<string, string>,
  ): Promise<{ rules: WayOutRules; env: Placeholders["env"] }> {
    const wanted = this.rules(policy, request.workspace, request.session);
    const values: Record<string, string> = {};
    if (wanted.length > 0) {
      const secrets = await this.#deps.secrets();
      for (const { secret } of wanted) {
        const value = await secrets.get(secret);
        if (value !== undefined) values[secret] = value;
      }
      request.masker.add(Object.values(values));
    }
    const { grants, env } = makePlaceholders(wanted, known);
    const layers = policy.network.layers.map((layer) => [...layer]);
    return { rules: { layers, limits: policy.network.limits, grants, values }, env };
  }
}
