import {
  agent,
  type AgentApp,
  type AgentContext,
  type McpServer,
  methods,
  type PermissionOption,
  PROTOCOL_VERSION,
  RequestError,
  type SessionConfigOption,
  type SessionUpdate,
} from "@agentclientprotocol/sdk";
import { GuildError } from "@guildhall/core";
import { Control, type Event, type TurnEnded, TurnEndReason } from "@guildhall/protocol";

import type { Connection } from "../client/connect.ts";
import { promptText } from "./prompt-text.ts";
import { mcpFile, type Mode, modelOptions, modeOf, modesOf } from "./session-choices.ts";
import { stopReason, UpdateStream } from "./updates.ts";

export interface GuildhallAgentOptions {
  connection: Connection;
  /** Of new sessions; empty: the configured one. */
  model: string;
  /** `never`, or empty: as the policy has it. */
  approvals: string;
  credentials: Record<string, string>;
  version: string;
}

/** Guildhall as an agent of the Agent Client Protocol: each of its sessions is one of the daemon's, and outlives the editor. */
export function createGuildhallAgent(options: GuildhallAgentOptions): AgentApp {
  const { connection, credentials } = options;
  const { sessions } = connection;
  const prompts = new Map<string, AbortController>();
  const modes = new Map<string, Mode>();

  const workspaceOf = async (sessionId: string): Promise<string> => {
    const { session } = await sessions.getSession({ sessionId });
    return session?.workspace ?? "";
  };
  const configOptions = async (sessionId: string): Promise<SessionConfigOption[]> => {
    const { session } = await sessions.getSession({ sessionId });
    return await modelOptions(connection, session?.model ?? "", credentials);
  };
  /** What a client hears of a session that it opens, once its servers are known. */
  const opened = async (sessionId: string, servers: readonly McpServer[] = []) => {
    await connection.extensions.lendMcpServers({ sessionId, config: mcpFile(servers) });
    return { modes: modesOf(modes.get(sessionId) ?? "ask"), configOptions: await configOptions(sessionId) };
  };

  /** Tells the client everything from an event on, until the turn is over, and asks it for permissions. */
  const follow = async (
    client: AgentContext,
    sessionId: string,
    fromSeq: number,
    updates: UpdateStream,
  ): Promise<TurnEnded | undefined> => {
    let end: TurnEnded | undefined;
    const tell = async (update: SessionUpdate): Promise<void> => client.notify(methods.client.session.update, { sessionId, update });
    for await (const { events, deltas } of sessions.watchSession({ sessionId, fromSeq, follow: true, deltas: true, untilTurnEnd: true })) {
      for (const delta of deltas) for (const update of updates.delta(delta)) await tell(update);
      for (const event of events) {
        for (const update of updates.event(event)) await tell(update);
        if (event.body.case === "turnEnded") end = event.body.value;
        if (event.body.case === "approvalRequested") await permission(client, sessionId, event, updates);
      }
    }
    return end;
  };

  /** Asks beside the stream: other calls of the same reply go on meanwhile. */
  const permission = async (client: AgentContext, sessionId: string, event: Event, updates: UpdateStream): Promise<void> => {
    if (event.body.case !== "approvalRequested") return;
    const { approvalId, actionDigest, callId, reason, rule, dataLeaves } = event.body.value;
    if (modes.get(sessionId) === "auto" && !dataLeaves) {
      const value = { approvalId, actionDigest, granted: true, comment: "the editor's mode is auto" };
      await sessions.sendInput({ sessionId, input: { case: "approval", value }, attended: true });
      return;
    }
    const call = updates.describe(callId);
    // The exact rule stands in the question, so that nobody saves what he has not seen.
    const words = rule === "" ? reason : `${reason}\nrule: ${rule}`;
    const always = { optionId: "always", name: "Always in this session, by the rule shown", kind: "allow_always" as const };
    const choices: PermissionOption[] = [
      { optionId: "allow", name: "Allow once", kind: "allow_once" },
      ...(rule === "" || dataLeaves ? [] : [always]),
      { optionId: "reject", name: "Reject", kind: "reject_once" },
    ];
    const decide = async (): Promise<void> => {
      const { outcome } = await client.request(methods.client.session.requestPermission, {
        sessionId,
        toolCall: { ...call, status: "pending", content: [{ type: "content", content: { type: "text", text: words } }] },
        options: choices,
      });
      // A prompt that was cancelled has ended the question too.
      if (outcome.outcome === "cancelled") return;
      const forSession = outcome.optionId === always.optionId;
      if (forSession) await connection.approvals.saveRule({ sessionId, approvalId, workspace: false });
      const granted = forSession || outcome.optionId === "allow";
      await sessions.sendInput({
        sessionId,
        input: { case: "approval", value: { approvalId, actionDigest, granted, comment: "" } },
        attended: true,
      });
    };
    decide().catch(async (error: unknown) => {
      // A client that cannot ask: nobody has agreed.
      const comment = `the client could not ask: ${GuildError.from(error).message}`;
      await sessions
        .sendInput({ sessionId, input: { case: "approval", value: { approvalId, actionDigest, granted: false, comment } } })
        .catch(() => undefined); // Decided elsewhere meanwhile, or the daemon is gone, which the prompt tells.
    });
  };

  const replay = async (client: AgentContext, sessionId: string): Promise<void> => {
    const updates = new UpdateStream({ workspace: await workspaceOf(sessionId), withMessages: true });
    for await (const { events } of sessions.watchSession({ sessionId, fromSeq: 1, follow: false })) {
      for (const event of events) {
        for (const update of updates.event(event)) await client.notify(methods.client.session.update, { sessionId, update });
      }
    }
  };

  return agent({ name: "guildhall" })
    .onRequest(methods.agent.initialize, () => ({
      protocolVersion: PROTOCOL_VERSION,
      agentInfo: { name: "guildhall", title: "Guildhall", version: options.version },
      agentCapabilities: {
        loadSession: true,
        mcpCapabilities: { http: true, sse: false },
        promptCapabilities: { embeddedContext: true },
        sessionCapabilities: { list: {}, resume: {}, close: {} },
      },
      authMethods: [],
    }))
    .onRequest(methods.agent.authenticate, () => ({}))
    .onRequest(methods.agent.session.new, ({ params }) =>
      answering(async () => {
        const { model, approvals: approvalPolicy } = options;
        const { session } = await sessions.createSession({ workspace: params.cwd, goal: "", model, approvalPolicy, credentials });
        if (session === undefined) throw new GuildError("internal", "the daemon answered without a session");
        return { sessionId: session.id, ...(await opened(session.id, params.mcpServers)) };
      }),
    )
    .onRequest(methods.agent.session.load, ({ params, client }) =>
      answering(async () => {
        await replay(client, params.sessionId);
        return await opened(params.sessionId, params.mcpServers);
      }),
    )
    .onRequest(methods.agent.session.resume, ({ params }) =>
      answering(async () => {
        await workspaceOf(params.sessionId);
        return await opened(params.sessionId, params.mcpServers);
      }),
    )
    .onRequest(methods.agent.session.setMode, ({ params, client }) =>
      answering(async () => {
        const { sessionId } = params;
        const mode = modeOf(params.modeId);
        await workspaceOf(sessionId);
        modes.set(sessionId, mode);
        const update = { sessionUpdate: "current_mode_update" as const, currentModeId: mode };
        await client.notify(methods.client.session.update, { sessionId, update });
        return {};
      }),
    )
    .onRequest(methods.agent.session.setConfigOption, ({ params }) =>
      answering(async () => {
        const { sessionId, configId, value } = params;
        if (configId !== "model" || typeof value !== "string") {
          throw new GuildError("invalid_argument", "there is no such option", { subject: configId, remedy: "model, with a model's name" });
        }
        const model = { model: value, baseUrl: "", reason: "chosen in the editor" };
        await sessions.sendInput({ sessionId, input: { case: "model", value: model }, credentials });
        return { configOptions: await configOptions(sessionId) };
      }),
    )
    .onRequest(methods.agent.session.close, ({ params }) =>
      answering(async () => {
        prompts.get(params.sessionId)?.abort();
        return {};
      }),
    )
    .onRequest(methods.agent.session.list, ({ params }) =>
      answering(async () => {
        const page = await sessions.listSessions({ pageSize: 50, pageToken: params.cursor ?? "", workspace: params.cwd ?? "" });
        return {
          sessions: page.sessions.map(({ id, workspace, title, updated }) => ({
            sessionId: id,
            cwd: workspace,
            title,
            ...(updated === undefined ? {} : { updatedAt: new Date(Number(updated.seconds) * 1000).toISOString() }),
          })),
          ...(page.nextPageToken === "" ? {} : { nextCursor: page.nextPageToken }),
        };
      }),
    )
    .onRequest(methods.agent.session.prompt, ({ params, client }) =>
      answering(async () => {
        const { sessionId } = params;
        const text = promptText(params.prompt);
        if (text === "") throw new GuildError("invalid_argument", "the prompt holds no text");
        const updates = new UpdateStream({ workspace: await workspaceOf(sessionId), withMessages: false });
        const stop = new AbortController();
        prompts.set(sessionId, stop);
        const interrupt = (): void => {
          const control = { control: Control.INTERRUPT, reason: "cancelled" };
          // A turn that has ended by itself meanwhile tells so.
          sessions.sendInput({ sessionId, input: { case: "control", value: control } }).catch(() => undefined);
        };
        // Only `session/cancel` stops it: an editor that goes away leaves the session at work.
        stop.signal.addEventListener("abort", interrupt, { once: true });
        try {
          const { seq } = await sessions.sendInput({ sessionId, input: { case: "message", value: { text } }, credentials, attended: true });
          const end = await follow(client, sessionId, seq, updates);
          if (end?.reason === TurnEndReason.FAILED) throw new GuildError("unavailable", end.summary, { subject: sessionId });
          return { stopReason: end === undefined ? "end_turn" : stopReason(end) };
        } finally {
          prompts.delete(sessionId);
          stop.signal.removeEventListener("abort", interrupt);
        }
      }),
    )
    .onNotification(methods.agent.session.cancel, ({ params }) => {
      prompts.get(params.sessionId)?.abort();
    });
}

/** What goes wrong, as an error of the protocol with the line that a person can use. */
async function answering<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const own = GuildError.from(error);
    if (own.code === "not_found") throw new RequestError(-32002, own.line);
    throw new RequestError(own.code === "invalid_argument" || own.code === "failed_precondition" ? -32602 : -32603, own.line);
  }
}
