import { createHash } from "node:crypto";

import { createDelegateTool, createReportTool } from "@guildhall/agent";
import { canonicalJson, type EventLog, type SessionKey, type SessionPart, type Tool } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import { ActionStatus, TurnEndReason } from "@guildhall/protocol";

import type { PartFactory } from "../parts/session-parts.ts";
import type { Delegations } from "./delegations.ts";
import { delegationOf } from "./session-tree.ts";

/** The same search with the same result is spoken of from this time on, and refused from that. */
const SPOKEN_OF = 3;
const REFUSED = 6;

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
      return sessionPart(delegations, session, tools, schema !== "", searchesOf(searches, family));
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
    },
  };
}

async function hasReported(delegations: Delegations, session: SessionKey): Promise<boolean> {
  const { observations } = await delegations.tree.state(session);
  return observations.toArray().some((one) => one.tool === "report" && one.status === ActionStatus.OK);
}

/** Searches that the agents of one piece of work have made: nobody notices alone that all of them look for the same. */
class Searches {
  readonly #made = new Map<string, { result: string; times: number; by: ReadonlySet<string> }>();

  refusal(input: unknown): string | undefined {
    const made = this.#made.get(canonicalJson(input));
    return made !== undefined && made.by.size > 1 && made.times >= REFUSED
      ? `the agents of this work have made this same search ${made.times} times, always with the same result; use that, or look for something else`
      : undefined;
  }

  /** Counts it; a remark once it was made too often. */
  seen(session: string, input: unknown, output: string): string | undefined {
    const key = canonicalJson(input);
    const result = createHash("sha256").update(output).digest("base64");
    const before = this.#made.get(key);
    const same = before?.result === result ? before : undefined;
    const times = (same?.times ?? 0) + 1;
    const by = new Set([...(same?.by ?? []), session]);
    this.#made.delete(key);
    this.#made.set(key, { result, times, by });
    for (const oldest of this.#made.keys()) {
      if (this.#made.size <= MOST_SEARCHES) break;
      this.#made.delete(oldest);
    }
    // The same words each time: whoever watches for repetition must see one. An agent that repeats itself alone is that one's matter.
    return times >= SPOKEN_OF && by.size > 1 ? "Agents of this work have made this same search before, with the same result." : undefined;
  }
}

const MOST_SEARCHES = 500;

function searchesOf(all: Map<string, Searches>, family: string): Searches {
  const known = all.get(family) ?? new Searches();
  all.delete(family);
  all.set(family, known);
  for (const oldest of all.keys()) {
    if (all.size <= 100) break;
    all.delete(oldest);
  }
  return known;
}
