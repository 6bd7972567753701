import type { Masker, OpenCall } from "@guildhall/core";
import type { ToolCall } from "@guildhall/protocol";

import type { RawCall } from "./tools/index.ts";

/**
 * Calls whose arguments hold a secret: the log, and so every reader of it, gets them masked, and what runs is what the model wrote, which is in
 * this run's memory alone. A run that takes over has the masked form only, and does not run that (see `LOST`).
 */
export class MaskedCalls {
  readonly #masker: Masker | undefined;
  readonly #written = new Map<string, string>();

  constructor(masker: Masker | undefined) {
    this.#masker = masker;
  }

  /** As the log gets them. */
  hidden(calls: readonly ToolCall[]): ToolCall[] {
    const masker = this.#masker;
    if (masker === undefined) return [...calls];
    return calls.map((call) => {
      const masked = masker.mask(call.arguments);
      if (masked === call.arguments) return call;
      this.#written.set(call.callId, call.arguments);
      return { ...call, arguments: masked, masked: true };
    });
  }

  /** As the model wrote it; undefined: another worker knew that. */
  written(call: OpenCall): RawCall | undefined {
    if (call.masked !== true) return call;
    const written = this.#written.get(call.callId);
    return written === undefined ? undefined : { callId: call.callId, tool: call.tool, arguments: written };
  }

  mask(text: string): string {
    return this.#masker?.mask(text) ?? text;
  }
}

/** Observation of such a call when its worker is gone. */
export const LOST =
  "Not run: its arguments held a secret, which is not kept, and the worker that knew it is gone. Make the call again if it is still wanted.";
