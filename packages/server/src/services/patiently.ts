import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "@guildhall/core";

/** How long a service that cannot be reached is asked again, milliseconds: long enough for it to be started anew. */
const PATIENCE_MS = 15_000;
const PAUSE_MS = 200;

/** Makes a call again while it fails as `unavailable`: for calls that do no harm when they are made twice. */
export async function patiently<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!GuildError.is(error, "unavailable") || performance.now() > until || signal?.aborted === true) throw error;
      await sleep(PAUSE_MS);
    }
  }
}
