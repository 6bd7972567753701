import { create } from "@bufbuild/protobuf";
import { type Budgets, type EventLog, GuildError, type ModelProvider, type SessionKey } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import type { Sampler } from "@guildhall/extensions";
import { PromptMessageSchema, PromptRole } from "@guildhall/protocol";

import type { SessionTree } from "../delegation/session-tree.ts";
import { bothBudgets, treeBudgets } from "../delegation/tree-budgets.ts";

/**
 * The model that MCP servers of a session may use: its own, or the one that the settings' `[routes]` name for `sampling`. Bound by what the session
 * and the budgets above it have left; what it costs is counted with the call that let it.
 */
export function sessionSampler(deps: {
  log: EventLog;
  tree: SessionTree;
  budgets(): Budgets;
  settings(): Settings;
  models(): Promise<ModelProvider>;
  credentialsOf(session: string): Readonly<Record<string, string>>;
}): (session: SessionKey) => Sampler {
  return (session) => async (request, signal) => {
    const { info, limits, spent } = await deps.tree.state(session);
    if (limits.maxTokens > 0 && spent.inputTokens + spent.outputTokens + request.maxTokens > limits.maxTokens) {
      throw new GuildError("resource_exhausted", "the session has too few tokens left for it", { subject: session.session });
    }
    if (limits.maxCostUsd > 0 && spent.costUsd >= limits.maxCostUsd) {
      throw new GuildError("resource_exhausted", "the session has no money left for it", { subject: session.session });
    }
    const { keys, routes } = deps.settings();
    const own = info.baseUrl === "" ? { spec: info.model } : { spec: info.model, baseUrl: info.baseUrl };
    const which = routes["sampling"] === undefined ? own : { spec: "role:sampling" };
    const model = await (await deps.models()).open({ ...which, credentials: { ...keys, ...deps.credentialsOf(session.session) } });
    try {
      const budgets = bothBudgets(deps.budgets(), treeBudgets(deps.log, deps.tree));
      const reservation = await budgets.reserve({ ...session, epoch: 0 }, { tokens: request.maxTokens });
      let used = { tokens: 0, costUsd: 0 };
      try {
        const messages = [
          ...(request.system === "" ? [] : [create(PromptMessageSchema, { role: PromptRole.SYSTEM, text: request.system })]),
          ...request.messages.map(({ role, text }) =>
            create(PromptMessageSchema, { role: role === "user" ? PromptRole.USER : PromptRole.ASSISTANT, text }),
          ),
        ];
        const asked = { sessionId: `${session.session}-sampling`, messages, tools: [], maxOutputTokens: request.maxTokens };
        const { text, usage } = await model.generate(asked, signal);
        if (usage !== undefined) used = { tokens: usage.inputTokens + usage.outputTokens, costUsd: usage.costUsd };
        return { text, model: model.info.spec, ...(usage === undefined ? {} : { usage }) };
      } finally {
        await budgets.settle(reservation, used);
      }
    } finally {
      await model.close();
    }
  };
}
