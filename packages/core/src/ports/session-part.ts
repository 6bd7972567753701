import type { TurnEnded } from "@guildhall/protocol";

import type { SessionState } from "../session/state.ts";
import type { Tool, ToolResult } from "./tool.ts";

/** What a part tells the model. */
export interface PartNotice {
  /** `memory`, `environment`, `tools`, `rules`, … */
  kind: string;
  /** Bounded by the part. Text that is not Guildhall's own stands in it marked as untrusted. */
  text: string;
  /** The session's commands run in another environment from now on, the one with this content hash. */
  environmentHash?: string;
}

/** Something that gives a part its tools. */
export interface PartSource {
  /** As the tools' own `source` names it. */
  name: string;
  state: "on" | "failed";
  /** Why it failed, in one line; otherwise empty. */
  detail: string;
}

/** A call that is about to run, or has run. Its intent is durable. */
export interface PartAction {
  callId: string;
  tool: string;
  input: unknown;
}

/**
 * What joins a session from beside its loop (memory, environment, MCP servers, hooks, language servers) for as long as its workbench is
 * open. Everything is optional and nothing may cost more as the session grows. What it has to say goes into the log as a notice, an input
 * of the actor `part:<name>`, so a replay needs no part. A part that throws is reported, and the session goes on without its word, save
 * where `beforeAction` throws: that refuses the action.
 */
export interface SessionPart {
  /** Lower case, as in `part:<name>`. */
  readonly name: string;
  /** Tools that the session has through it. Asked at each step: it returns the same array until they have changed. Policy may leave some out. */
  tools?(): readonly Tool[];
  /** Where its tools come from and how each of that stands now; for people. */
  sources?(): readonly PartSource[];
  /**
   * Asked once before each model call, all parts side by side: what the model has to know by then. The call waits for it, so it answers from
   * what it holds ready, or within a bound of its own.
   */
  beforeStep?(state: SessionState, signal: AbortSignal): readonly PartNotice[] | Promise<readonly PartNotice[]>;
  /** A reason to refuse the action, or nothing. */
  beforeAction?(action: PartAction, signal: AbortSignal): string | undefined | Promise<string | undefined>;
  /** Text to be added to the action's observation, or nothing; waits for what it must within a bound of its own. */
  afterAction?(action: PartAction, result: ToolResult, signal: AbortSignal): string | undefined | Promise<string | undefined>;
  /** A turn is over; the run waits for it. */
  turnEnded?(end: TurnEnded): void | Promise<void>;
  close?(): Promise<void>;
}
