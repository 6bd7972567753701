import { body, type EventLog, type Masker, type SessionKey } from "@guildhall/core";
import type { NetworkDecision } from "@guildhall/sandbox";

import type { Log } from "../daemon/log.ts";

export interface DecisionLogOptions {
  log: EventLog;
  key: SessionKey;
  masker: Masker;
  journal: Log;
}

/** Gathers what the way out decides into few events of a session's log; equal decisions in a row are counted. */
export class DecisionLog {
  readonly #options: DecisionLogOptions;
  #gathered: Array<NetworkDecision & { count: number }> = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: DecisionLogOptions) {
    this.#options = options;
  }

  add(decision: NetworkDecision): void {
    const { masker } = this.#options;
    const masked = {
      ...decision,
      path: masker.mask(decision.path).slice(0, LONGEST),
      reason: masker.mask(decision.reason).slice(0, LONGEST),
    };
    const last = this.#gathered.at(-1);
    if (last !== undefined && sameDecision(last, masked)) last.count += 1;
    else this.#gathered.push({ ...masked, host: masked.host.slice(0, LONGEST), count: 1 });
    if (this.#gathered.length >= MOST) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), GATHER_MS);
  }

  /** Resolves when everything so far is in the log. */
  flush(): Promise<void> {
    this.#write();
    return this.#writing;
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#gathered.length === 0) return;
    const decisions = this.#gathered.splice(0);
    const { log, key, journal } = this.#options;
    this.#writing = this.#writing
      .then(async () => void (await log.appendInput(key, "system", [body.networkDecided({ decisions })])))
      .catch((error: unknown) => journal.error(`${key.session}: ${decisions.length} network decision(s) could not be stored`, error));
  }
}

/** How long decisions are gathered, milliseconds: a page with its parts is one event. */
const GATHER_MS = 200;
const MOST = 200;
/** Longest host, path or reason that is kept, characters. */
const LONGEST = 500;

function sameDecision(a: NetworkDecision, b: NetworkDecision): boolean {
  const facts = ({ allowed, rule, reason, host, port, method, path, secrets }: NetworkDecision): string =>
    JSON.stringify([allowed, rule, reason, host, port, method, path, secrets]);
  return facts(a) === facts(b);
}
