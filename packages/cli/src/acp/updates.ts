import { resolve } from "node:path";

import type { SessionUpdate, StopReason, ToolCallContent, ToolCallLocation, ToolKind } from "@agentclientprotocol/sdk";
import { ActionStatus, type Delta, type Event, type ToolCall, type TurnEnded, TurnEndReason } from "@guildhall/protocol";

/** Characters of one output that a client is shown. */
const SHOWN = 20_000;

/**
 * Turns a session's events and deltas into what an ACP client shows, in order. Text that came as it was written is not said again when its reply is
 * stored.
 */
export class UpdateStream {
  readonly #workspace: string;
  /** What people said is theirs already, but for a history that is loaded. */
  readonly #withMessages: boolean;
  readonly #tools = new Map<string, string>();
  readonly #outputs = new Map<string, string>();
  readonly #finished = new Set<string>();
  #streamed = { text: "", reasoning: "" };
  /** A reply is stored, and no other has begun: what still comes of its text was late, and is said already. */
  #replied = false;
  /** What the last reply said before its deltas came, and what has come since. */
  #owed = "";
  #late = "";
  /** What the agent said last, so that a summary is not said twice. */
  #said = "";

  constructor(options: { workspace: string; withMessages: boolean }) {
    this.#workspace = options.workspace;
    this.#withMessages = options.withMessages;
  }

  delta({ kind }: Delta): SessionUpdate[] {
    switch (kind.case) {
      case "waiting":
        // It comes late itself when what follows it does.
        if (kind.value === "model" && this.#late.length >= this.#owed.length) {
          this.#replied = false;
          this.#owed = this.#late = "";
        }
        return [];
      case "text":
        if (this.#replied) return this.#isLate(kind.value);
        this.#streamed.text += kind.value;
        return [chunk("agent_message_chunk", kind.value)];
      case "reasoning":
        if (this.#replied) return this.#isLate(kind.value);
        this.#streamed.reasoning += kind.value;
        return [chunk("agent_thought_chunk", kind.value)];
      case "output": {
        const { callId, text } = kind.value;
        // The last of it may come after the observation, which has it all.
        if (this.#finished.has(callId)) return [];
        this.#outputs.set(callId, `${this.#outputs.get(callId) ?? ""}${text}`.slice(-SHOWN));
        // And the first before the reply that calls: an editor knows nothing of it yet.
        return this.#tools.has(callId) ? [this.#soFar(callId)] : [];
      }
      default:
        return [];
    }
  }

  event({ body }: Event): SessionUpdate[] {
    switch (body.case) {
      case "messageReceived":
        return this.#withMessages ? [chunk("user_message_chunk", body.value.text)] : [];
      case "modelReplied": {
        const { text, reasoning, toolCalls } = body.value;
        const missing = [
          ...rest("agent_thought_chunk", reasoning, this.#streamed.reasoning),
          ...rest("agent_message_chunk", text, this.#streamed.text),
        ];
        const whole = reasoning + text;
        this.#owed = this.#late.endsWith(whole) ? "" : whole.slice(this.#streamed.reasoning.length + this.#streamed.text.length);
        this.#late = "";
        this.#streamed = { text: "", reasoning: "" };
        this.#replied = true;
        if (text !== "") this.#said = text;
        return [...missing, ...toolCalls.filter(({ tool }) => tool !== "finish").map((call) => this.#begun(call))];
      }
      case "actionStarted":
        return this.#tools.has(body.value.callId)
          ? [
              { sessionUpdate: "tool_call_update", toolCallId: body.value.callId, status: "in_progress" },
              ...(this.#outputs.has(body.value.callId) ? [this.#soFar(body.value.callId)] : []),
            ]
          : [];
      case "actionFinished": {
        const { callId, status, output, data } = body.value;
        const tool = this.#tools.get(callId);
        this.#outputs.delete(callId);
        this.#finished.add(callId);
        if (tool === undefined) return [];
        const done: SessionUpdate = {
          sessionUpdate: "tool_call_update",
          toolCallId: callId,
          status: status === ActionStatus.OK ? "completed" : "failed",
          // What changed is shown already, and says more than that it did.
          ...(isEdit(tool) && status === ActionStatus.OK ? {} : { content: [words(output.slice(0, SHOWN))] }),
        };
        return [done, ...(tool === "task_tracker" ? planOf(data) : [])];
      }
      case "turnEnded": {
        const { reason, summary } = body.value;
        this.#streamed = { text: "", reasoning: "" };
        return summary === "" || summary === this.#said || reason === TurnEndReason.INTERRUPTED
          ? []
          : [chunk("agent_message_chunk", summary)];
      }
      default:
        return [];
    }
  }

  /** A call, for a permission that is asked about it. */
  describe(callId: string): { toolCallId: string; title: string } {
    return { toolCallId: callId, title: this.#tools.get(callId) ?? callId };
  }

  #soFar(callId: string): SessionUpdate {
    return { sessionUpdate: "tool_call_update", toolCallId: callId, content: [words(this.#outputs.get(callId) ?? "")] };
  }

  #isLate(text: string): SessionUpdate[] {
    this.#late += text;
    return [];
  }

  #begun({ callId, tool, arguments: text }: ToolCall): SessionUpdate {
    this.#tools.set(callId, tool);
    const input = parse(text);
    const { title, locations, content } = look(tool, input, this.#workspace);
    return {
      sessionUpdate: "tool_call",
      toolCallId: callId,
      title,
      kind: kindOf(tool, input),
      status: "pending",
      rawInput: input,
      ...(locations.length > 0 ? { locations } : {}),
      ...(content.length > 0 ? { content } : {}),
    };
  }
}

/** Why the turn is over, in the protocol's words. */
export function stopReason(end: TurnEnded): StopReason {
  switch (end.reason) {
    case TurnEndReason.INTERRUPTED:
    case TurnEndReason.PAUSED:
      return "cancelled";
    case TurnEndReason.LIMIT:
      return end.detail === "tokens" ? "max_tokens" : "max_turn_requests";
    default:
      return "end_turn";
  }
}

function look(
  tool: string,
  input: Record<string, unknown>,
  workspace: string,
): { title: string; locations: ToolCallLocation[]; content: ToolCallContent[] } {
  const text = (name: string): string | undefined => (typeof input[name] === "string" ? input[name] : undefined);
  const path = text("path");
  const first = text("command") ?? Object.values(input).find((value) => typeof value === "string");
  const line = `${tool}: ${tool === "edit" && path !== undefined ? `${text("command") ?? ""} ${path}` : String(first ?? "")}`.replaceAll(
    /\s+/g,
    " ",
  );
  const title = line.length > 120 ? `${line.slice(0, 119)}…` : line;
  if (path === undefined) {
    const patch = tool === "apply_patch" ? text("patch") : undefined;
    return { title, locations: [], content: patch === undefined ? [] : [words(patch.slice(0, SHOWN))] };
  }
  const full = resolve(workspace, path);
  const added = text("file_text") ?? text("new_str");
  const changes = tool === "edit" && text("command") !== "view" && text("command") !== "undo";
  const diff: ToolCallContent[] =
    changes && (added !== undefined || text("old_str") !== undefined)
      ? [{ type: "diff", path: full, oldText: text("old_str") ?? null, newText: added ?? "" }]
      : [];
  return { title, locations: [{ path: full }], content: diff };
}

const KINDS: Record<string, ToolKind> = {
  bash: "execute",
  process: "execute",
  python: "execute",
  node: "execute",
  search: "search",
  apply_patch: "edit",
  think: "think",
  task_tracker: "think",
  fetch: "fetch",
  http: "fetch",
  web_search: "search",
  tool_search: "search",
};

function kindOf(tool: string, input: Record<string, unknown>): ToolKind {
  if (tool === "edit") return input["command"] === "view" ? "read" : "edit";
  return KINDS[tool] ?? "other";
}

const isEdit = (tool: string): boolean => tool === "edit";

/** The agent's task list, as the protocol's plan. */
function planOf(data: string): SessionUpdate[] {
  const { tasks } = parse(data) as { tasks?: Array<{ title?: string; status?: string }> };
  if (!Array.isArray(tasks)) return [];
  const states = { todo: "pending", in_progress: "in_progress", done: "completed" } as const;
  const entries = tasks.map(({ title = "", status = "todo" }) => ({
    content: title,
    priority: "medium" as const,
    status: states[status as keyof typeof states] ?? "pending",
  }));
  return [{ sessionUpdate: "plan", entries }];
}

/** What of a stored text has not been shown on its way. */
function rest(kind: "agent_message_chunk" | "agent_thought_chunk", whole: string, shown: string): SessionUpdate[] {
  const missing = whole.startsWith(shown) ? whole.slice(shown.length) : whole;
  return missing === "" ? [] : [chunk(kind, missing)];
}

function chunk(sessionUpdate: "agent_message_chunk" | "agent_thought_chunk" | "user_message_chunk", text: string): SessionUpdate {
  return { sessionUpdate, content: { type: "text", text } };
}

function words(text: string): ToolCallContent {
  return { type: "content", content: { type: "text", text } };
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text === "" ? "{}" : text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
  } catch {
    // A model that wrote no JSON: its call is refused, and the observation says so.
    return {};
  }
}
