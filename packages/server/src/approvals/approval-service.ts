import type { ServiceImpl } from "@connectrpc/connect";
import { type Clock, type EventLog, GuildError } from "@guildhall/core";
import type { ApprovalService } from "@guildhall/protocol";

import { foldSession } from "../sessions/describe-session.ts";
import { keyOf } from "../sessions/session-desk.ts";
import type { RuleStore, SavedRule } from "./rule-store.ts";

/** Saved rules. What a rule says comes from the question in the log, not from the caller. */
export function approvalService(deps: { rules: RuleStore; log: EventLog; clock: Clock }): ServiceImpl<typeof ApprovalService> {
  const { rules, log, clock } = deps;
  return {
    async saveRule(request) {
      const record = await log.getSession(keyOf(request.sessionId));
      const state = await foldSession(log, record);
      const call = state.open.find((open) => open.approval?.approvalId === request.approvalId);
      if (call?.approval === undefined || call.approval.decision !== undefined) {
        throw new GuildError("not_found", "no such action waits for approval", {
          subject: `${request.sessionId}/${request.approvalId}`,
          remedy: "guild approval list shows what waits",
        });
      }
      const { digest, rule } = call.approval;
      const saved = rules.add({
        text: rule,
        tool: call.tool,
        digest,
        workspace: state.info.workspace,
        saved: clock.now().toISOString(),
        ...(request.workspace ? {} : { session: record.session }),
      });
      return { rule: message(saved) };
    },
    listRules: () => ({ rules: rules.list().map(message) }),
    removeRule(request) {
      rules.remove(request.id);
      return {};
    },
  };
}

function message({ id, text, tool, digest, workspace, session = "", saved }: SavedRule) {
  return { id, text, tool, actionDigest: digest, workspace, sessionId: session, saved };
}
