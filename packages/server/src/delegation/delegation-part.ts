import { createDelegateTool, createReportTool } from "@guildhall/agent";
import { type EventLog, type SessionKey, type SessionPart, type Tool } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import { ActionStatus, TurnEndReason } from "@guildhall/protocol";

import type { PartFactory } from "../parts/session-parts.ts";
import type { Delegations } from "./delegations.ts";
import { pastSearches, Searches } from "./searches.ts";
import { delegationOf } from "./session-tree.ts";

/** Ends of a turn after which those who go on would work for nobody. */
const ENDS_FOR_ALL: ReadonlySet<TurnEndReason> = new Set([
  TurnEndReason.INTERRUPTED,
  TurnEndReason.FAILED,
  TurnEndReason.GAVE_UP,
  TurnEndReason.LIMIT,
]);

/** `delegate` for every session that may hand on work, `report` for one that has its work from another. */
export function delegationPart(delegations: Delegations, deps: { log: EventLog; settings(): Settings }): PartFactory {
  const searches = new Map<string, Searches>();
  return {
    name: "delegation",
    introduction: () =>
      deps.settings().delegation.max_depth > 0
        ? "Parts of the work that stand alone (a search, a review, a module) can go to other agents with `delegate`."
        : "",
    async open({ session }) {
      if (session === undefined) return undefined;
      const delegation = await delegationOf(deps.log, session);
      const tools: Tool[] = [];
      if ((delegation?.depth ?? 0) < deps.settings().delegation.max_depth) tools.push(createDelegateTool(delegations.delegates(session)));
      const schema = delegation?.resultSchema ?? "";
      if (schema !== "") tools.push(createReportTool(JSON.parse(schema) as Record<string, unknown>));
      const family = delegation?.parentSessionId ?? session.session;
      const past = async () => {
        const { tree } = delegations;
        const head = { tenant: session.tenant, session: family };
        const alone = (await delegationOf(deps.log, head)) === undefined ? [head] : [];
        return pastSearches([...alone, ...(await tree.children(head))], (key) => tree.state(key));
      };
      return sessionPart(delegations, session, tools, schema !== "", searchesOf(searches, family, past));
    },
  };
}

function sessionPart(delegations: Delegations, session: SessionKey, tools: Tool[], owesReport: boolean, searches: Searches): SessionPart {
  return {
    name: "delegation",
    tools: () => tools,
    async beforeAction({ tool, input }) {
      if (tool === "search") return searches.refusal(input);
      if (tool !== "finish" || (input as { done?: boolean }).done === false) return undefined;
      const running = await delegations.running(session);
      if (running.length > 0) return `${running.map((one) => one.session).join(", ")} still work for you: wait for them or stop them first`;
      return owesReport && !(await hasReported(delegations, session))
        ? "the result that is wanted has not been handed over: call report first"
        : undefined;
    },
    afterAction: ({ tool, input }, { output }) => (tool === "search" ? searches.seen(session.session, input, output) : undefined),
    async turnEnded({ reason }) {
      if (ENDS_FOR_ALL.has(reason)) await delegations.interrupt(session);
      await delegations.tidy(session);
    },
  };
}

async function hasReported(delegations: Delegations, session: SessionKey): Promise<boolean> {
  const { observations } = await delegations.tree.state(session);
  return observations.toArray().some((one) => one.tool === "report" && one.status === ActionStatus.OK);
}

function searchesOf(all: Map<string, Searches>, family: string, past: ConstructorParameters<typeof Searches>[0]): Searches {
  const known = all.get(family) ?? new Searches(past);
  all.delete(family);
  all.set(family, known);
  for (const oldest of all.keys()) {
    if (all.size <= 100) break;
    all.delete(oldest);
  }
  return known;
}
