import type { Sandbox, SessionPart, ToolSession } from "@guildhall/core";

import type { PartFactory } from "../parts/session-parts.ts";

/** A session is to go on at another worker, if nothing is lost by it. */
export interface WantedMove {
  /** For the session's log, and its model. */
  why: string;
  leave(): void;
  /** It cannot: `held` lives in its sandbox. */
  stays(held: string): void;
}

/** What this worker's sessions are asked for by the pool, until they stand between two steps and can answer. */
export class WantedMoves {
  readonly #wanted = new Map<string, WantedMove>();

  ask(session: string, move: WantedMove): void {
    this.#wanted.set(session, move);
  }

  /** It is not at work here any more, or not to move. */
  forget(session: string): void {
    this.#wanted.delete(session);
  }

  /**
   * Answers between two steps. `familyAtWork`: of those that the session has handed work to. What was left running is found by the number of
   * processes: more than there were before the first step, and than tools account for.
   */
  part(familyAtWork: (session: string) => boolean): PartFactory {
    return {
      name: "pool",
      open: ({ session: key, sandbox, toolSession }): SessionPart | undefined => {
        if (key === undefined) return undefined;
        const { session } = key;
        // Nothing waits for it but the answer: a model is asked while its sandbox still starts.
        const before = Promise.all([sandbox, toolSession]).then(([box, tools]) => countOthers(box, tools));
        before.catch(() => undefined); // Who asks is told; nobody may.
        return {
          name: "pool",
          beforeStep: async () => {
            const wanted = this.#wanted.get(session);
            if (wanted === undefined) return [];
            this.#wanted.delete(session);
            const tools = await toolSession;
            const more = (await countOthers(await sandbox, tools)) - (await before);
            const [held = more > 0 ? `${more} process(es) left running` : undefined] = tools.held?.().what ?? [];
            const stays = familyAtWork(session) ? "work that it has handed on" : held;
            if (stays === undefined) wanted.leave();
            else wanted.stays(stays);
            return stays === undefined ? [{ kind: "moved", text: wanted.why }] : [];
          },
        };
      },
    };
  }
}

/** Processes of the sandbox that no tool answers for. */
async function countOthers(sandbox: Sandbox, tools: ToolSession): Promise<number> {
  const { processes } = await sandbox.usage();
  return processes - (tools.held?.().processes ?? 0);
}
