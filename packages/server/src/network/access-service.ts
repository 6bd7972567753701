import type { ServiceImpl } from "@connectrpc/connect";
import { GuildError, type Secrets, type SecretRule } from "@guildhall/core";
import { effectivePolicy, readPolicy } from "@guildhall/core/policy-file";
import type { AccessService, Grant as GrantMessage } from "@guildhall/protocol";

import type { Grant, GrantStore } from "../secrets/grants.ts";
import { PROJECT_POLICY } from "../trust/configuration.ts";
import type { Policies } from "../trust/policies.ts";
import type { TrustStore } from "../trust/trust-store.ts";
import { checkWorkspace } from "../worker/workspace.ts";
import type { SurroundingsDesk } from "./surroundings.ts";

export interface AccessServiceDeps {
  secrets(): Promise<Secrets>;
  grants: GrantStore;
  trust: TrustStore;
  policies: Policies;
  surroundings: SurroundingsDesk;
}

/** Secrets, grants, trust and policy. No answer holds a secret's value. */
export function accessService(deps: AccessServiceDeps): ServiceImpl<typeof AccessService> {
  const { grants, trust, policies, surroundings } = deps;
  return {
    async setSecret({ name, value }) {
      await (await deps.secrets()).set(name, value);
      await surroundings.refresh();
      return {};
    },
    async deleteSecret({ name }) {
      const secrets = await deps.secrets();
      if ((await secrets.get(name)) === undefined) throw unknownSecret(name);
      await secrets.delete(name);
      grants.revoke(name, "");
      await surroundings.refresh();
      return {};
    },
    async listSecrets() {
      const stored = await (await deps.secrets()).names();
      const operator = effectivePolicy(policies.operator()).secrets.grants;
      const given = [
        ...grants.list().map((grant) => messageOf(grant, "guild secret grant")),
        ...operator.map((rule) => messageOf(rule, "policy.toml")),
      ];
      const names = [...new Set([...stored, ...given.map(({ secret }) => secret)])].toSorted();
      return {
        secrets: names.map((name) => ({
          name,
          stored: stored.includes(name),
          grants: given.filter(({ secret }) => secret === name),
        })),
      };
    },
    async grantSecret({ grant }) {
      if (grant === undefined) throw new GuildError("invalid_argument", "the request holds no grant");
      const { secret, host, methods, paths, env, project, sessionId } = grant;
      if ((await (await deps.secrets()).get(secret)) === undefined) throw unknownSecret(secret);
      const added = grants.add({
        secret,
        host,
        ...(methods.length === 0 ? {} : { methods }),
        ...(paths.length === 0 ? {} : { paths }),
        ...(env === "" ? {} : { env }),
        ...(project === "" ? {} : { project: checkWorkspace(project) }),
        ...(sessionId === "" ? {} : { session: sessionId }),
      });
      await surroundings.refresh();
      return { grant: messageOf(added, "guild secret grant") };
    },
    async revokeSecret({ name, grantId }) {
      const revoked = grants.revoke(name, grantId);
      if (revoked === 0) {
        throw new GuildError("not_found", `there is no such grant of ${name}`, {
          remedy: "guild secret list shows them; those of policy.toml are taken back there",
        });
      }
      await surroundings.refresh();
      return { revoked };
    },
    showTrust: ({ directory }) => ({ trust: trust.show(checkWorkspace(directory)) }),
    async addTrust({ directory, digest }) {
      const real = checkWorkspace(directory);
      const added = trust.add(real, digest, (policy) => void readPolicy(policy, `${real}/${PROJECT_POLICY}`, "project"));
      await surroundings.refresh();
      return { trust: added };
    },
    async revokeTrust({ directory }) {
      const revoked = trust.revoke(checkWorkspace(directory));
      await surroundings.refresh();
      return { trust: revoked };
    },
    showPolicy({ directory }) {
      if (directory === "") {
        const policy = effectivePolicy(policies.operator());
        return { sources: policy.sources, policy: JSON.stringify(policy), notices: [] };
      }
      const { policy, notices } = policies.of(checkWorkspace(directory));
      return { sources: policy.sources, policy: JSON.stringify(policy), notices };
    },
  };
}

function messageOf(grant: SecretRule & Partial<Grant>, source: string): Omit<GrantMessage, "$typeName"> {
  const { id = "", secret, host, methods = [], paths = [], env = "", project = "", session = "" } = grant;
  return { id, secret, host, methods: [...methods], paths: [...paths], env, project, sessionId: session, source };
}

function unknownSecret(name: string): GuildError {
  return new GuildError("not_found", `there is no secret ${name}`, { remedy: `store it first: guild secret set ${name}` });
}
