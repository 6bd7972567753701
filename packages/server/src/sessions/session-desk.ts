import { create } from "@bufbuild/protobuf";
import {
  approvalPolicy,
  body,
  type EventBody,
  type EventLog,
  GuildError,
  type Ids,
  type ModelProvider,
  type NewSession,
  type SessionKey,
  type SessionRecord,
} from "@guildhall/core";
import { VERSION } from "@guildhall/core/paths";
import type { Settings } from "@guildhall/core/settings";
import {
  Control,
  type CreateSessionRequest,
  type Limits,
  LimitsSchema,
  type ModelChanged,
  type ResumeSessionRequest,
  type SendInputRequest,
} from "@guildhall/protocol";

import { MASKED_WORDS } from "../secrets/screen.ts";
import type { SessionRunner } from "../worker/session-host.ts";
import { checkWorkspace } from "../worker/workspace.ts";
import type { Introduce } from "./introduction.ts";

export interface SessionDeskDeps {
  log: EventLog;
  host: SessionRunner;
  ids: Ids;
  settings(): Settings;
  models(): Promise<ModelProvider>;
  introduce: Introduce;
  /** Takes secrets out of what a person says to a session in this workspace. */
  screen(workspace: string, text: string): Promise<string>;
  /** Throws when there is no such provider. */
  checkSandbox(name: string): void;
}

/** The one tenant of a person's own daemon. */
export const TENANT = "local";

/** Takes in what people ask of sessions: stores it as events, then sees to it that somebody works on it. */
export class SessionDesk {
  readonly #deps: SessionDeskDeps;

  constructor(deps: SessionDeskDeps) {
    this.#deps = deps;
  }

  /** Checks everything that can be checked before anything is stored: workspace, sandbox, policy, model and its key. */
  async create(request: CreateSessionRequest, actor: string): Promise<{ record: SessionRecord; modelReason: string; notices: string[] }> {
    const { log, host } = this.#deps;
    const workspace = checkWorkspace(request.workspace);
    const release = request.goal === "" ? () => undefined : await host.claim(workspace);
    try {
      const { session, modelReason, notices } = await this.draft(request, workspace, actor);
      const record = await log.createSession(session);
      const credentials = { ...this.#deps.settings().keys, ...request.credentials };
      if (record.turnOpen) host.ensureRunning(record, { credentials, unattended: request.unattended });
      return { record, modelReason, notices };
    } finally {
      release();
    }
  }

  /** A session that is about to be stored; `workspace` is checked by the caller, or will exist where the session runs. */
  async draft(
    request: CreateSessionRequest,
    workspace: string,
    actor: string,
  ): Promise<{ session: NewSession; modelReason: string; notices: string[] }> {
    const { ids } = this.#deps;
    const settings = this.#deps.settings();
    const sandbox = this.#checkNames(request);
    const [model, terms, words] = await Promise.all([
      this.#chooseModel(request.model, request.baseUrl, settings, { ...settings.keys, ...request.credentials }),
      this.#deps.introduce({
        workspace,
        sandbox,
        unattended: request.unattended,
        approvals: request.approvalPolicy,
        review: request.apply === "review",
      }),
      this.#deps.screen(workspace, request.goal),
    ]);
    const { systemPrompt, environmentHash, tools } = terms;
    const notices = words === request.goal ? terms.notices : [...terms.notices, MASKED_WORDS];
    const started = body.sessionStarted({
      workspace,
      model: model.spec,
      modelReason: model.reason,
      baseUrl: model.baseUrl,
      sandbox,
      limits: limitsOf(request.limits, settings),
      approvalPolicy: terms.approvalPolicy,
      apply: terms.review ? "review" : "",
      version: VERSION,
      systemPrompt,
      environmentHash,
      tools,
    });
    const goal = body.messageReceived({ text: words, messageId: ids.next("msg") });
    const session = {
      tenant: TENANT,
      session: ids.next("ses"),
      title: titleOf(words),
      workspace,
      actor,
      events: request.goal === "" ? [started] : [started, goal],
      ...(request.requestId === "" ? {} : { requestId: request.requestId }),
    };
    return { session, modelReason: model.reason, notices };
  }

  /** The model and sandbox of a request. Throws for what cannot be had: an unknown name, a missing key. */
  async checkTerms(
    request: Pick<CreateSessionRequest, "sandbox" | "approvalPolicy" | "apply" | "model" | "baseUrl" | "credentials">,
  ): Promise<{ model: { spec: string; baseUrl: string; reason: string }; sandbox: string }> {
    const settings = this.#deps.settings();
    const sandbox = this.#checkNames(request);
    const model = await this.#chooseModel(request.model, request.baseUrl, settings, { ...settings.keys, ...request.credentials });
    return { model, sandbox };
  }

  /** Throws for a name in a request that says nothing; returns that of the sandbox. */
  #checkNames(request: Pick<CreateSessionRequest, "sandbox" | "approvalPolicy" | "apply">): string {
    const sandbox = request.sandbox === "" ? this.#deps.settings().sandbox.provider : request.sandbox;
    this.#deps.checkSandbox(sandbox);
    approvalPolicy(request.approvalPolicy);
    if (!["", "direct", "review"].includes(request.apply)) {
      throw new GuildError("invalid_argument", `results cannot be applied ${JSON.stringify(request.apply)}`, {
        remedy: "say direct or review",
      });
    }
    return sandbox;
  }

  async get(session: string): Promise<SessionRecord> {
    return await this.#deps.log.getSession(keyOf(session));
  }

  /** Stores an input; messages and decisions wake a session that rests. Returns the sequence of the stored event. */
  async send(request: SendInputRequest, actor: string): Promise<number> {
    const { log, host, ids } = this.#deps;
    const key = keyOf(request.sessionId);
    const { input } = request;
    if (input.case === undefined) throw new GuildError("invalid_argument", "the request holds no input");
    if (input.case === "message" && input.value.text.trim() === "") throw new GuildError("invalid_argument", "the message is empty");
    if (input.case === "control" && input.value.control === Control.UNSPECIFIED) {
      throw new GuildError("invalid_argument", "the control says nothing");
    }
    const record = await log.getSession(key);
    if (input.case === "model") return await this.#changeModel(key, input.value, request.credentials, actor);
    const rests = !host.isRunning(key.session);
    const wakes = input.case !== "control" || input.value.control === Control.RESUME;
    if (rests && wakes) await host.untilFree(record.workspace, record);
    const waits = input.case === "control" && input.value.control === Control.CONDENSE;
    if (rests && !wakes && !waits && !record.turnOpen) {
      throw new GuildError("failed_precondition", "nobody works on this session", {
        subject: key.session,
        remedy: "there is nothing to stop",
      });
    }
    const stored: EventBody =
      input.case === "message"
        ? body.messageReceived({
            text: await this.#deps.screen(record.workspace, input.value.text),
            messageId: input.value.messageId === "" ? ids.next("msg") : input.value.messageId,
          })
        : input.case === "control"
          ? { case: "controlRequested", value: input.value }
          : { case: "approvalDecided", value: input.value };
    const [event] = await log.appendInput(key, actor, [stored]);
    const after = await log.getSession(key);
    if (after.turnOpen && wakes) {
      const credentials = { ...this.#deps.settings().keys, ...request.credentials };
      host.ensureRunning(after, { credentials, unattended: !request.attended });
    }
    return event?.seq ?? after.lastSeq;
  }

  /** Brings a session back to work; one that is at work already is left alone. */
  async resume(request: ResumeSessionRequest, actor: string): Promise<SessionRecord> {
    const { log, host } = this.#deps;
    const key = keyOf(request.sessionId);
    const record = await log.getSession(key);
    if (host.isRunning(key.session)) {
      if (record.turnOpen) return record;
      // Its turn has just ended: what is asked for now is the next.
      await host.rested(key.session);
    }
    checkWorkspace(record.workspace);
    await host.untilFree(record.workspace, record);
    const settings = this.#deps.settings();
    const credentials = { ...settings.keys, ...request.credentials };
    const events: EventBody[] = [];
    if (request.model !== "") {
      const model = await this.#chooseModel(request.model, request.baseUrl, settings, credentials);
      events.push(body.modelChanged({ model: model.spec, baseUrl: model.baseUrl, reason: model.reason }));
    }
    const limits = request.limits;
    events.push(body.controlRequested({ control: Control.RESUME, reason: "", ...(limits === undefined ? {} : { limits }) }));
    await log.appendInput(key, actor, events);
    const opened = await log.getSession(key);
    host.ensureRunning(opened, { credentials, unattended: request.unattended });
    return opened;
  }

  /** Another model from the session's next step on; one that rests begins with it when it goes on. */
  async #changeModel(key: SessionKey, wanted: ModelChanged, credentials: Record<string, string>, actor: string): Promise<number> {
    const settings = this.#deps.settings();
    const model = await this.#chooseModel(wanted.model, wanted.baseUrl, settings, { ...settings.keys, ...credentials });
    this.#deps.host.addCredentials(key.session, credentials);
    const changed = body.modelChanged({ model: model.spec, baseUrl: model.baseUrl, reason: wanted.reason || model.reason });
    const [event] = await this.#deps.log.appendInput(key, actor, [changed]);
    return event?.seq ?? 0;
  }

  /** Takes up every session that a crash left without a worker. */
  async resumeOrphans(): Promise<number> {
    const { log, host } = this.#deps;
    let taken = 0;
    for (let before: string | undefined; ;) {
      const page = await log.listSessions({ tenant: TENANT, limit: 200, ...(before === undefined ? {} : { before }) });
      for (const record of page) {
        if (!record.turnOpen || host.isRunning(record.session)) continue;
        host.ensureRunning(record, { credentials: this.#deps.settings().keys, unattended: true });
        taken++;
      }
      before = page.at(-1)?.session;
      if (page.length < 200) return taken;
    }
  }

  /** Opens the model once, so that an unknown one or a missing key is told before anything is stored. Makes no request. */
  async #chooseModel(
    spec: string,
    baseUrl: string,
    settings: Settings,
    credentials: Record<string, string>,
  ): Promise<{ spec: string; baseUrl: string; reason: string }> {
    const models = await this.#deps.models();
    const configured = settings.model.default;
    const chosen =
      spec !== ""
        ? { spec, baseUrl, reason: "named with --model" }
        : await models.choose({ ...(configured === "" ? {} : { configured }), credentials }).catch((error: unknown) => {
            if (!GuildError.is(error, "failed_precondition")) throw error;
            // By this subject clients know that no model is at hand.
            throw new GuildError("failed_precondition", error.message, {
              subject: "model",
              remedy: error.remedy ?? "name one",
              cause: error,
            });
          });
    const ofConfigured = spec === "" && chosen.spec === configured ? settings.model.base_url : "";
    const url = baseUrl !== "" ? baseUrl : (chosen.baseUrl ?? ofConfigured);
    const opened = await models.open({ spec: chosen.spec, credentials, ...(url === "" ? {} : { baseUrl: url }) });
    await opened.close();
    return { spec: chosen.spec, baseUrl: url, reason: chosen.reason };
  }
}

/** Throws `invalid_argument` for what cannot be an id. */
export function keyOf(session: string): SessionKey {
  if (!/^ses_[0-9A-Za-z]+$/.test(session)) {
    throw new GuildError("invalid_argument", `${JSON.stringify(session)} is no session id`, { remedy: "guild session list shows them" });
  }
  return { tenant: TENANT, session };
}

function limitsOf(asked: Limits | undefined, settings: Settings): Limits {
  const { limits } = settings;
  return create(LimitsSchema, {
    maxSteps: asked?.maxSteps || limits.max_steps,
    maxTokens: asked?.maxTokens || BigInt(limits.max_tokens),
    maxCostUsd: asked?.maxCostUsd || limits.max_cost_usd,
    maxSeconds: asked?.maxSeconds || limits.max_seconds,
  });
}

function titleOf(goal: string): string {
  const line = goal.trim().split("\n")[0]?.trim() ?? "";
  return line.length <= 120 ? line : `${line.slice(0, 119)}…`;
}
