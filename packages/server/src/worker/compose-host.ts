import { JoinedTools } from "@guildhall/agent";
import type { BlobStore, CommandJudge, FaultPoints, SandboxLimits } from "@guildhall/core";

import type { createAccess } from "../network/access.ts";
import type { SessionParts } from "../parts/index.ts";
import type { createResults } from "../results/index.ts";
import { repositoryTrust } from "../trust/repository-trust.ts";
import type { createRunTerms } from "./run-terms.ts";
import { SessionHost, type SessionHostDeps } from "./session-host.ts";
import type { createToolSets } from "./tool-sets.ts";
import { openWorkbench } from "./workbench.ts";

/** What sessions at work here find around them. */
export interface HostParts extends Omit<SessionHostDeps, "openWorkbench" | "prepareRun"> {
  access: ReturnType<typeof createAccess>;
  blobs: BlobStore;
  results: ReturnType<typeof createResults>;
  parts: SessionParts;
  toolSets: Awaited<ReturnType<typeof createToolSets>>;
  runTerms: ReturnType<typeof createRunTerms>;
  workbenchDeps: Parameters<typeof openWorkbench>[0];
  /** Of the session's sandbox. */
  limitsOf(session: string): SandboxLimits;
  openCommandJudge(): Promise<CommandJudge>;
  /** How long a sandbox lives without us, milliseconds. */
  sandboxLeaseMs: number | undefined;
  /** Leases of other owners may be theirs. */
  shared: boolean;
  faults: FaultPoints | undefined;
}

/** The host of sessions, with the workbench that each gets and the terms that each runs under. */
export function composeHost(all: HostParts): SessionHost {
  const { log, blobs, journal, access, results, parts, toolSets, runTerms, sandboxLeaseMs, faults } = all;
  return new SessionHost({
    ...all,
    openWorkbench: async (record, masker) => {
      const [first] = await log.read(record, 1, 1);
      const { sandbox: provider = "", apply = "" } = first?.body.case === "sessionStarted" ? first.body.value : {};
      const { workspace } = record;
      const own = results.workbench(record, apply, provider, access.terms(workspace, provider, "").unprotected);
      const surroundings = () => access.forSession(record, workspace, provider, masker, own.protect);
      const place = { session: { tenant: record.tenant, session: record.session }, workspace, provider };
      return openWorkbench(all.workbenchDeps, {
        workspace,
        provider,
        limits: all.limitsOf(record.session),
        ...(sandboxLeaseMs === undefined ? {} : { leaseMs: sandboxLeaseMs }),
        masker,
        surroundings,
        ...own,
        parts: {
          surroundings: () => parts.surroundings(place),
          open: (on) => parts.open({ ...place, ...on, masker, log, blobs }),
        },
      });
    },
    prepareRun: async (record, run, workbench, masker) => {
      await access.teach(record.workspace, masker);
      return {
        tools: new JoinedTools({
          base: toolSets.underPolicy(record.workspace, ""),
          parts: await workbench.parts,
          allows: access.terms(record.workspace, "", "").allowsTool,
          leftOut: (part, error) => journal.warn(`${record.session}: ${part}: ${error.line}`),
        }),
        takeover: run.takeover ?? !all.shared,
        dataLeaving: access.terms(record.workspace, "", "").dataLeaving,
        repository: repositoryTrust(access.service.trust, record.workspace),
        commandJudge: all.openCommandJudge,
        ...(faults === undefined ? {} : { faults }),
        ...runTerms.of(record, run.credentials),
      };
    },
  });
}
