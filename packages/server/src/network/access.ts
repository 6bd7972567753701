import { existsSync } from "node:fs";
import { join } from "node:path";

import {
  APPROVAL_POLICIES,
  type ApprovalRule,
  type Clock,
  type DataLeaving,
  isNetworkOpen,
  type EventLog,
  type Masker,
  type Secrets,
  type SessionKey,
} from "@guildhall/core";
import type { Paths } from "@guildhall/core/paths";
import { approvalsUnder, isToolAllowed } from "@guildhall/core/policy-file";
import type { Settings } from "@guildhall/core/settings";
import type { Broker, NetworkDecision } from "@guildhall/sandbox";

import type { Log } from "../daemon/log.ts";
import { GrantStore } from "../secrets/grants.ts";
import { openSecretStore, secretsFile } from "../secrets/open-store.ts";
import { Policies } from "../trust/policies.ts";
import { TrustStore } from "../trust/trust-store.ts";
import type { AccessServiceDeps } from "./access-service.ts";
import { DecisionLog } from "./decision-log.ts";
import { type Surroundings, SurroundingsDesk, type SurroundingsRequest } from "./surroundings.ts";

export interface AccessOptions {
  paths: Pick<Paths, "config" | "data" | "runtime">;
  settings(): Settings;
  env: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  log: EventLog;
  journal: Log;
  /** Program and arguments that run the broker. */
  brokerProgram: readonly [string, ...string[]];
}

/** What policy says of a new session. */
export interface Terms {
  approvalPolicy: string;
  /** The sandbox reaches the network as far as the policy allows. */
  network: boolean;
  allowsTool(name: string): boolean;
  /** Results are to be reviewed, whatever a session asks for. */
  review: boolean;
  /** Paths that the operator lets agents write though they are protected. */
  unprotected: readonly string[];
  dataLeaving: DataLeaving;
  /** Rules for single actions. */
  approvalRules: readonly ApprovalRule[];
  notices: string[];
}

/** What sandboxes may reach and use, put together for one daemon. */
export interface Access {
  readonly service: AccessServiceDeps;
  /** `asked`: the approval policy that the session names; empty: none. */
  terms(workspace: string, sandbox: string, asked: string): Terms;
  /** Has the masker know what must not be seen of sessions in a workspace, before anything of them is written down. */
  teach(workspace: string, masker: Masker): Promise<void>;
  /** Surroundings of a session's sandbox; its network decisions become events. */
  forSession(
    key: SessionKey,
    workspace: string,
    provider: string,
    masker: Masker,
    protect: SurroundingsRequest["protect"],
  ): Promise<Surroundings>;
  /** Surroundings of a sandbox without a session; its network decisions go into the daemon's log. */
  forTools(workspace: string, provider: string, masker: Masker): Promise<Surroundings>;
  close(): Promise<void>;
}

export function createAccess(options: AccessOptions): Access {
  const { paths, journal, log } = options;
  const trust = new TrustStore({ file: join(paths.data, "trust.json"), now: () => options.clock.now() });
  const policies = new Policies({ operatorFile: join(paths.config, "policy.toml"), trust });
  const grants = new GrantStore(join(paths.data, "grants.json"));
  let opened: { settings: string; store: Promise<Secrets> } | undefined;
  const secrets = (): Promise<Secrets> => {
    const settings = options.settings().secrets;
    const named = JSON.stringify(settings);
    if (opened?.settings !== named) opened = { settings: named, store: openSecretStore({ settings, paths, env: options.env }) };
    return opened.store;
  };
  let made: Promise<Broker> | undefined;
  const broker = () =>
    (made ??= import("@guildhall/sandbox").then(
      ({ Broker: Made }) =>
        new Made({
          program: options.brokerProgram,
          env: brokerEnvironment(options.env),
          runtimeDir: paths.runtime,
          log: (line) => journal.warn(line),
        }),
    ));
  const storedNames = async (): Promise<string[]> => {
    const { store } = options.settings().secrets;
    const atHand = store === "environment" || (store === "file" && existsSync(secretsFile(paths)));
    // One that cannot be read is told of where a secret is to be used.
    return atHand
      ? await secrets()
          .then((all) => all.names())
          .catch(() => [])
      : [];
  };
  const surroundings = new SurroundingsDesk({ policies, grants, secrets, storedNames, broker });
  let edition = policies.edition;
  /** Sandboxes kept from turn to turn follow what the operator has written meanwhile. */
  const follow = (): void => {
    if (policies.edition === edition) return;
    edition = policies.edition;
    surroundings.refresh().catch((error: unknown) => journal.error("the changed policy did not reach every sandbox", error));
  };
  return {
    service: { secrets, grants, trust, policies, surroundings },
    terms(workspace, sandbox, asked) {
      const { policy, notices } = policies.of(workspace);
      follow();
      return {
        approvalPolicy: approvalsUnder(
          policy,
          APPROVAL_POLICIES.find((name) => name === asked),
        ),
        network: sandbox !== "host" && isNetworkOpen(policy.network),
        review: policy.review,
        unprotected: policy.unprotected,
        allowsTool: (name) => isToolAllowed(policy, name),
        dataLeaving: policy.dataLeaving,
        approvalRules: policy.approvalRules,
        notices,
      };
    },
    teach: (workspace, masker) => surroundings.teach(workspace, masker),
    forSession(key, workspace, provider, masker, protect) {
      const decisions = new DecisionLog({ log, key, masker, journal });
      return surroundings.open({
        workspace,
        provider,
        session: key.session,
        ...(protect === undefined ? {} : { protect }),
        masker,
        report: (decision) => decisions.add(decision),
        reported: () => decisions.flush(),
      });
    },
    forTools(workspace, provider, masker) {
      const line = ({ allowed, method, host, port, path, reason }: NetworkDecision): string =>
        `network: ${allowed ? "allowed" : "refused"} ${method} ${host}:${port}${path} from ${workspace}: ${reason}`;
      return surroundings.open({ workspace, provider, masker, report: (decision) => journal.info(masker.mask(line(decision))) });
    },
    async close() {
      await (await made)?.close();
    },
  };
}

/** Nothing of the daemon's own but which further authorities the operator trusts, and the mark by which tests find what they left. */
function brokerEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const passed = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "GUILD_TEST_RUN"];
  return Object.fromEntries(passed.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
