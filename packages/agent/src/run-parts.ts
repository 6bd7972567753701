import { type EventBody, GuildError, body, type PartAction, type SessionPart, type SessionState, type ToolResult } from "@guildhall/core";
import type { TurnEnded } from "@guildhall/protocol";

import type { RunDeps } from "./run-deps.ts";
import { boundText } from "./tools/index.ts";

/** What the parts of a session say to its run. A part that fails is reported and passed over, except where it guards an action. */
export class RunParts {
  readonly #deps: Pick<RunDeps, "parts" | "partFailed" | "masker">;
  /** Steps at which they were last asked, so that each model call asks once. */
  #asked = -1;

  constructor(deps: Pick<RunDeps, "parts" | "partFailed" | "masker">) {
    this.#deps = deps;
    // Awaited before the first model call; a failure before that must not count as one that nobody saw.
    deps.parts?.catch(() => undefined);
  }

  /** What the model has to know before this step, as one input for each part that has something to say. */
  async beforeStep(state: SessionState, signal: AbortSignal): Promise<Array<{ actor: string; events: EventBody[] }>> {
    if (this.#asked === state.steps) return [];
    this.#asked = state.steps;
    const parts = await this.#parts();
    const said = await Promise.all(
      parts.map(async (part) => ({
        actor: `part:${part.name}`,
        events: ((await this.#try(part, () => part.beforeStep?.(state, signal))) ?? []).map(({ kind, text, environmentHash = "" }) =>
          body.noticeGiven({ kind, text: this.#masked(text), environmentHash }),
        ),
      })),
    );
    return said.filter(({ events }) => events.length > 0);
  }

  /** Why the action is not to run, if a part says so or cannot tell. */
  async refusal(action: PartAction, signal: AbortSignal): Promise<string | undefined> {
    for (const part of await this.#parts()) {
      if (part.beforeAction === undefined) continue;
      try {
        const reason = await part.beforeAction(action, signal);
        if (reason !== undefined) return `Refused by ${part.name}: ${reason}. Nothing was done.`;
      } catch (error) {
        return `Refused: ${part.name} could not check it: ${GuildError.from(error).line}. Nothing was done.`;
      }
    }
    return undefined;
  }

  /** The result with what the parts add to it. */
  async added(action: PartAction, result: ToolResult, signal: AbortSignal): Promise<ToolResult> {
    const parts = (await this.#parts()).filter((part) => part.afterAction !== undefined);
    if (parts.length === 0) return result;
    const texts = await Promise.all(parts.map((part) => this.#try(part, () => part.afterAction?.(action, result, signal))));
    const added = texts.filter((text) => text !== undefined && text !== "");
    return added.length === 0
      ? result
      : { ...result, output: [result.output, ...added.map((text) => boundText(this.#masked(text ?? "")))].join("\n\n") };
  }

  async turnEnded(end: TurnEnded): Promise<void> {
    await Promise.all((await this.#parts()).map((part) => this.#try(part, () => part.turnEnded?.(end))));
  }

  /** None when they could not be opened at all: the session can do without. */
  async #parts(): Promise<readonly SessionPart[]> {
    try {
      return (await this.#deps.parts) ?? [];
    } catch (error) {
      this.#deps.partFailed?.("parts", GuildError.from(error));
      return [];
    }
  }

  #masked(text: string): string {
    return this.#deps.masker?.mask(text) ?? text;
  }

  async #try<T>(part: SessionPart, ask: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      this.#deps.partFailed?.(part.name, GuildError.from(error));
      return undefined;
    }
  }
}
