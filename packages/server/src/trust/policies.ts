import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";
import { effectivePolicy, type EffectivePolicy, type NamedPolicy, readPolicy } from "@guildhall/core/policy-file";

import { PROJECT_DIRECTORY, PROJECT_POLICY } from "./configuration.ts";
import type { TrustStore } from "./trust-store.ts";

/** The policy that holds in one directory, and what a person there should know of it. */
export interface CurrentPolicy {
  policy: EffectivePolicy;
  /** One line each. */
  notices: string[];
}

/** The policies as they are now: the operator's file is read again when it has changed, a project's counts as far as it was trusted. */
export class Policies {
  readonly #file: string;
  readonly #trust: TrustStore;
  #edition = 0;
  #operator: { stamp: string; policy: NamedPolicy | undefined } | undefined;

  /** Goes up with every change of the operator's file that was seen. */
  get edition(): number {
    return this.#edition;
  }

  /** `operatorFile`: `policy.toml` in the settings directory; a missing one allows nothing beyond the defaults. */
  constructor(options: { operatorFile: string; trust: TrustStore }) {
    this.#file = options.operatorFile;
    this.#trust = options.trust;
  }

  /** Throws `invalid_argument` that names file and line or key: a policy that cannot be read is never passed over. */
  of(workspace: string): CurrentPolicy {
    const { state, policy } = this.#trust.policyOf(workspace);
    const name = join(workspace, PROJECT_POLICY);
    const project = policy === undefined ? [] : [{ name, policy: readPolicy(policy, name, "project") }];
    return { policy: effectivePolicy(this.operator(), project), notices: noticesOf(state, workspace) };
  }

  operator(): NamedPolicy | undefined {
    const stat = statSync(this.#file, { bigint: true, throwIfNoEntry: false });
    const stamp = stat === undefined ? "" : `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
    if (this.#operator?.stamp !== stamp) {
      const policy =
        stat === undefined ? undefined : { name: "policy.toml", policy: readPolicy(readText(this.#file), this.#file, "operator") };
      this.#operator = { stamp, policy };
      this.#edition += 1;
    }
    return this.#operator.policy;
  }
}

function noticesOf(state: string, workspace: string): string[] {
  const own = statSync(join(workspace, PROJECT_DIRECTORY), { throwIfNoEntry: false });
  if (own === undefined) return [];
  const look = `guild trust show ${workspace}`;
  if (state === "untrusted") return [`${PROJECT_DIRECTORY} in ${workspace} has no effect: nobody has trusted it — ${look}`];
  if (state === "changed")
    return [`${PROJECT_DIRECTORY} in ${workspace} has changed since it was trusted; what was trusted goes on narrowing — ${look}`];
  return [];
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new GuildError("permission_denied", "the policy cannot be read", {
      subject: file,
      remedy: "check the file's owner and mode",
      cause: error,
    });
  }
}
