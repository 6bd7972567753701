import { setTimeout as sleep } from "node:timers/promises";

import type { SessionPart } from "@guildhall/core";

import type { Surroundings } from "./surroundings.ts";

/**
 * Has what the network's broker decided for an action stored before the action's observation, so that the log of a turn that is over lacks none
 * of it. It adds nothing to what the model sees.
 */
export function decisionsPart(surroundings: Promise<Pick<Surroundings, "settle"> | undefined>): SessionPart {
  const settle = async (): Promise<void> => {
    const around = await surroundings;
    if (around?.settle === undefined) return;
    const enough = new AbortController();
    // A broker that does not answer is no reason to wait: its decisions come when it does.
    const patience = sleep(PATIENCE_MS, undefined, { signal: enough.signal, ref: false }).catch(() => undefined);
    try {
      await Promise.race([around.settle(), patience]);
    } finally {
      enough.abort();
    }
  };
  return {
    name: "network",
    afterAction: async () => {
      await settle();
      return undefined;
    },
    turnEnded: settle,
  };
}

const PATIENCE_MS = 5_000;
