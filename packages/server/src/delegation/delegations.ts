import { createHash } from "node:crypto";

import { type Assignment, createReportTool, type Delegates, type MergedChanges, type Report } from "@guildhall/agent";
import {
  body,
  type EventLog,
  GuildError,
  type Ids,
  type ModelProvider,
  type SessionKey,
  type SessionRecord,
  type SessionState,
} from "@guildhall/core";
import { VERSION } from "@guildhall/core/paths";
import type { Settings } from "@guildhall/core/settings";
import { ActionStatus, Control, TurnEndReason } from "@guildhall/protocol";

import type { Results } from "../results/index.ts";
import type { SessionHost } from "../worker/session-host.ts";
import { mergeChanges } from "./merge-changes.ts";
import { delegationOf, SessionTree, startOf } from "./session-tree.ts";

export interface DelegationDeps {
  log: EventLog;
  host(): SessionHost;
  results: Pick<Results, "results" | "makeCopy">;
  ids: Ids;
  settings(): Settings;
  models(): Promise<ModelProvider>;
}

/** Work that sessions hand to sessions: each a session of its own in the same workspace, with a link to who began it. */
export class Delegations {
  readonly tree: SessionTree;
  readonly #deps: DelegationDeps;
  /** Into one workspace one after the other: each merges with what the one before has brought. */
  readonly #merging = new Map<string, Promise<unknown>>();

  constructor(deps: DelegationDeps) {
    this.#deps = deps;
    this.tree = new SessionTree(deps.log);
  }

  /** What the agent of `key` can do with others. */
  delegates(key: SessionKey): Delegates {
    return {
      start: (callId, assignment) => this.#start(key, callId, assignment),
      wait: (agent, signal, progress) => this.#wait(key, agent, signal, progress),
      merge: (agent, theirs) => this.#mergeOwn(key, agent, theirs),
      list: async () => Promise.all((await this.tree.children(key)).map((child) => this.#report(child))),
      stop: (agent) => this.#stop(key, agent),
    };
  }

  /** Agents of this session that are at work. */
  async running(key: SessionKey): Promise<SessionKey[]> {
    const children = await this.tree.children(key);
    return children.filter((child) => this.#deps.host().isRunning(child.session));
  }

  /** Interrupts what this session has handed on, and what that has. */
  async interrupt(key: SessionKey): Promise<void> {
    for (const child of await this.running(key)) await this.#interrupt(child);
  }

  /** The turn of this session is over: copies whose changes have all arrived have served. */
  async tidy(key: SessionKey): Promise<void> {
    for (const child of await this.tree.children(key)) {
      if ((await delegationOf(this.#deps.log, child))?.ownCopy === true) await this.#deps.results.results.tidy(child);
    }
  }

  async #start(parent: SessionKey, callId: string, assignment: Assignment): Promise<Report> {
    const { log, host, ids, settings } = this.#deps;
    const { max_depth: maxDepth, max_agents: maxAgents } = settings().delegation;
    const state = await this.tree.state(parent);
    const start = await startOf(log, parent);
    const depth = (start?.delegation?.depth ?? 0) + 1;
    if (depth > maxDepth) {
      throw new GuildError("failed_precondition", `work is handed on ${maxDepth} deep at most`, {
        subject: parent.session,
        remedy: "do it yourself",
      });
    }
    if (assignment.ownCopy === true && state.info.sandbox === "host") {
      throw new GuildError("unsupported", "without a sandbox there are no copies of the workspace", { remedy: "leave own_copy out" });
    }
    if (assignment.resultSchema !== undefined) checkSchema(assignment.resultSchema);
    // What began before a crash is found again by this name.
    const requestId = `del_${createHash("sha256").update(`${parent.session} ${callId}`).digest("hex").slice(0, 32)}`;
    const begun = await this.tree.children(parent);
    if (begun.length >= maxAgents) {
      const running = await this.running(parent);
      if (running.length >= maxAgents) {
        throw new GuildError("resource_exhausted", `${running.length} agents work already`, {
          subject: parent.session,
          remedy: "wait for one of them",
        });
      }
    }
    const model = await this.#modelFor(assignment, state, parent);
    const { info } = state;
    const started = body.sessionStarted({
      workspace: info.workspace,
      model: model.spec,
      modelReason: assignment.model === undefined ? "the model of who handed the work on" : `named as ${assignment.model}`,
      baseUrl: model.baseUrl,
      sandbox: info.sandbox,
      limits: share(state, assignment),
      approvalPolicy: info.approvalPolicy,
      // Who works in a copy has agents that do so too: the same one, or each its own.
      apply: assignment.ownCopy === true ? "review" : (start?.apply ?? ""),
      version: VERSION,
      systemPrompt: `${info.systemPrompt}\n\n${[assignment.ownCopy === true ? FOR_ANOTHER_APART : FOR_ANOTHER, ...(assignment.resultSchema === undefined ? [] : [WITH_REPORT])].join(" ")}`,
      environmentHash: info.environmentHash,
      tools: [...info.tools],
      delegation: {
        parentSessionId: parent.session,
        parentCallId: callId,
        depth,
        resultSchema: assignment.resultSchema === undefined ? "" : JSON.stringify(assignment.resultSchema),
        ownCopy: assignment.ownCopy === true,
      },
    });
    const record = await log.createSession({
      tenant: parent.tenant,
      session: ids.next("ses"),
      title: title(assignment.goal),
      workspace: info.workspace,
      parent: parent.session,
      actor: `session:${parent.session}`,
      events: [started, body.messageReceived({ text: assignment.goal, messageId: ids.next("msg") })],
      requestId,
    });
    await this.tree.adopt(parent, record);
    if (record.turnOpen && assignment.ownCopy === true) await this.#deps.results.makeCopy(record);
    if (record.turnOpen) this.#run(record, parent, host());
    return await this.#report(record);
  }

  async #wait(parent: SessionKey, agent: string, signal: AbortSignal, progress: (text: string) => void): Promise<Report> {
    const { log } = this.#deps;
    const host = this.#deps.host();
    const key = await this.#own(parent, agent);
    let record = await log.getSession(key);
    const end = record.lastTurnEnd?.reason;
    if (!record.turnOpen && (end === TurnEndReason.PAUSED || end === TurnEndReason.INTERRUPTED)) {
      await log.appendInput(key, `session:${parent.session}`, [body.controlRequested({ control: Control.RESUME })]);
      record = await log.getSession(key);
    }
    progress(`waiting for ${agent}\n`);
    while (record.turnOpen && !signal.aborted) {
      if (!host.isRunning(agent)) this.#run(record, parent, host);
      const failure = await host.rested(agent, signal);
      record = await log.getSession(key);
      if (failure !== undefined && record.turnOpen && !signal.aborted)
        return { ...(await this.#report(record)), status: "failed", summary: failure.line };
    }
    if (signal.aborted) {
      // When the daemon ends, the agents are paused with everything else and go on with it.
      if (!host.stopping) await this.#interrupt(key);
      throw GuildError.from(signal.reason);
    }
    await host.cool(agent);
    return await this.#merged(parent, await this.#report(record), { theirs: false, all: false });
  }

  async #stop(parent: SessionKey, agent: string): Promise<Report> {
    const key = await this.#own(parent, agent);
    if (this.#deps.host().isRunning(agent)) {
      await this.#interrupt(key);
      await this.#deps.host().rested(agent);
    }
    return await this.#report(key);
  }

  async #mergeOwn(parent: SessionKey, agent: string, theirs: boolean): Promise<Report> {
    const key = await this.#own(parent, agent);
    if ((await delegationOf(this.#deps.log, key))?.ownCopy !== true) {
      throw new GuildError("failed_precondition", "this agent works in this workspace: its changes are here", { subject: agent });
    }
    return await this.#merged(parent, await this.#report(key), { theirs, all: true });
  }

  /** Brings what an agent with a copy of its own has changed to who waits for it; without `all` only when the agent is done. */
  async #merged(parent: SessionKey, report: Report, how: { theirs: boolean; all: boolean }): Promise<Report> {
    const child = { tenant: parent.tenant, session: report.agent };
    if ((await delegationOf(this.#deps.log, child))?.ownCopy !== true) return report;
    const before = this.#merging.get(parent.session) ?? Promise.resolve();
    const turn = before.then(() => this.#merge(parent, child, report, how));
    const settled = turn.catch(() => undefined); // who waits for it is told
    this.#merging.set(parent.session, settled);
    try {
      return await turn;
    } finally {
      if (this.#merging.get(parent.session) === settled) this.#merging.delete(parent.session);
    }
  }

  async #merge(parent: SessionKey, child: SessionKey, report: Report, how: { theirs: boolean; all: boolean }): Promise<Report> {
    const sandbox = await this.#deps.host().sandbox(parent.session);
    if (sandbox === undefined) throw new GuildError("unavailable", "the sandbox to merge into is gone", { subject: parent.session });
    const wanted = how.all || report.status === "done";
    const { brought, conflicts, diff } = await this.#deps.results.results.merge(child, async (store, open) => {
      if (!wanted) return open.map(({ path }) => ({ path, why: "" }));
      return await mergeChanges(sandbox, store, open, how);
    });
    const changes: MergedChanges = {
      merged: brought,
      conflicts: wanted ? conflicts : [],
      left: wanted ? [] : conflicts.map(({ path }) => path),
      diff: diff.length <= MOST_DIFF ? diff : `${diff.slice(0, MOST_DIFF)}\n… (the whole: guild session diff ${report.agent})`,
    };
    return { ...report, changes };
  }

  #run(record: SessionRecord, parent: SessionKey, host: SessionHost): void {
    host.ensureRunning(record, { credentials: { ...this.#deps.settings().keys, ...host.credentialsOf(parent.session) }, unattended: true });
  }

  async #interrupt(key: SessionKey): Promise<void> {
    const stop = body.controlRequested({ control: Control.INTERRUPT, reason: "who handed the work on was stopped" });
    await this.#deps.log.appendInput(key, "system", [stop]);
  }

  async #own(parent: SessionKey, agent: string): Promise<SessionKey> {
    const child = (await this.tree.children(parent)).find((one) => one.session === agent);
    if (child === undefined)
      throw new GuildError("not_found", "this session has no such agent", { subject: agent, remedy: "`list` shows those it has" });
    return child;
  }

  async #report(key: SessionKey): Promise<Report> {
    const state = await this.tree.state(key);
    const end = state.turn.end;
    const result = resultOf(state);
    return {
      agent: key.session,
      status: state.turn.open ? "running" : end === undefined ? "waiting" : nameOf(end.reason),
      goal: goalOf(state),
      summary: end?.summary ?? "",
      ...(result === undefined ? {} : { result }),
      steps: state.steps,
      tokens: state.spent.inputTokens + state.spent.outputTokens,
      costUsd: state.spent.costUsd,
    };
  }

  /** Only names that the operator gave: a specification can name files and addresses, which are not for an agent to choose. */
  async #modelFor({ model }: Assignment, { info }: SessionState, parent: SessionKey): Promise<{ spec: string; baseUrl: string }> {
    if (model === undefined || model === info.model) return { spec: info.model, baseUrl: info.baseUrl };
    if (!model.startsWith("role:")) {
      throw new GuildError("invalid_argument", "another model can be named by its role alone", {
        subject: model,
        remedy: "write role:<name>, or leave it out",
      });
    }
    const credentials = { ...this.#deps.settings().keys, ...this.#deps.host().credentialsOf(parent.session) };
    await (await (await this.#deps.models()).open({ spec: model, credentials })).close();
    return { spec: model, baseUrl: "" };
  }
}

function nameOf(reason: TurnEndReason): string {
  return (
    Object.entries(TurnEndReason)
      .find(([, value]) => value === reason)?.[0]
      .toLowerCase() ?? "waiting"
  );
}

/** Half of what is left at most, so that who hands on can still use what comes back. */
function share(
  state: SessionState,
  assignment: Assignment,
): { maxSteps: number; maxTokens: bigint; maxCostUsd: number; maxSeconds: number } {
  const { limits, spent } = state;
  const half = (limit: number, used: number): number => (limit === 0 ? 0 : Math.max((limit - used) / 2, 0));
  const steps = limits.maxSteps === 0 ? Infinity : Math.max(1, limits.maxSteps - state.steps);
  return {
    maxSteps: Math.min(assignment.maxSteps ?? DEFAULT_STEPS, steps),
    maxTokens: BigInt(Math.ceil(half(limits.maxTokens, spent.inputTokens + spent.outputTokens))),
    maxCostUsd: half(limits.maxCostUsd, spent.costUsd),
    maxSeconds: limits.maxSeconds,
  };
}

function checkSchema(schema: Record<string, unknown>): void {
  try {
    createReportTool(schema);
  } catch (error) {
    throw new GuildError("invalid_argument", `result_schema is no JSON Schema that can be used: ${GuildError.from(error).message}`, {
      remedy: 'write it like {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}',
      cause: error,
    });
  }
}

function resultOf(state: SessionState): unknown {
  const handed = state.observations.toArray().findLast((one) => one.tool === "report" && one.status === ActionStatus.OK && one.data !== "");
  return handed === undefined ? undefined : (JSON.parse(handed.data) as { result?: unknown }).result;
}

function goalOf(state: SessionState): string {
  const first = state.items.toArray().find((item) => item.kind === "message");
  return first?.kind === "message" ? first.text : "";
}

function title(goal: string): string {
  const line = goal.trim().split("\n")[0]?.trim() ?? "";
  return line.length <= 120 ? line : `${line.slice(0, 119)}…`;
}

/** Of a diff in a report, characters. */
const MOST_DIFF = 8_000;

/** Of an agent for which nobody said. */
const DEFAULT_STEPS = 100;

const FOR_ANOTHER = `# Who you work for
Another agent has handed you one part of its work; what it wrote is your goal. It works in the same workspace, and other agents may too: change only what your goal needs. It reads nothing of what you do but your summary at the end.`;
const FOR_ANOTHER_APART = `# Who you work for
Another agent has handed you one part of its work; what it wrote is your goal. You work in a copy of its workspace that is yours alone; when you are done, your changes are merged into its files. It reads nothing of what you do but your summary at the end.`;
const WITH_REPORT = "It wants a result in a certain form: hand it over with `report` before you call finish.";
