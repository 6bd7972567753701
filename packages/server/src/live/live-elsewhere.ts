import { randomUUID } from "node:crypto";

import type { Clock } from "@guildhall/core";

import type { Notices } from "../storage/notices.ts";
import type { DeltaHub } from "../worker/deltas.ts";
import { LiveAsker } from "./live-asker.ts";
import { channelOf, LiveOutbox } from "./live-outbox.ts";
import { parseRequest } from "./live-requests.ts";
import { LiveTeller } from "./live-teller.ts";

export interface LiveElsewhereDeps {
  notices: Notices;
  hub: Pick<DeltaHub, "subscribe" | "relay">;
  clock: Pick<Clock, "monotonic">;
  /** This orchestrator has the session's worker. */
  isHere(session: string): boolean;
  failed(error: unknown): void;
  /** How often it is said that somebody watches still. */
  repeatMs?: number;
}

/**
 * What is on its way in sessions, between orchestrators that share a database: who watches a session asks for it by notices, the one that has the
 * session's worker answers with them. It is a courtesy (the log is the truth): where there is too much it is left out and told anew, where the
 * database has no NOTIFY it is not told at all, and where nobody watches elsewhere nothing is said.
 */
export class LiveElsewhere {
  readonly #deps: LiveElsewhereDeps;
  readonly #id = randomUUID().replaceAll("-", "");
  readonly #asker: LiveAsker;
  readonly #teller: LiveTeller;
  readonly #outbox: LiveOutbox;
  /** Others can be heard. */
  #hears = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: LiveElsewhereDeps) {
    this.#deps = deps;
    const { hub, isHere } = deps;
    this.#outbox = new LiveOutbox(deps.notices, () => {
      this.#teller.lost();
      this.#asker.repeat(true);
    });
    this.#asker = new LiveAsker(this.#id, { hub, isHere, ask: (payloads) => this.#ask(payloads) });
    this.#teller = new LiveTeller(this.#id, { hub, isHere, outbox: this.#outbox });
  }

  /** Begins to hear of others. */
  start(): void {
    const { notices, clock, failed } = this.#deps;
    const connected = (): void => {
      this.#hears = true;
      this.#asker.repeat(true);
    };
    const asked = (payload: string): void => {
      const request = parseRequest(payload);
      if (request !== undefined) this.#teller.heard(request, clock.monotonic());
      this.#tick();
    };
    const told = (payload: string): void => this.#asker.heard(payload);
    Promise.all([notices.hear(channelOf(), asked, () => undefined), notices.hear(channelOf(this.#id), told, connected)]).catch(failed);
  }

  /** Somebody begins to watch a session here, or the last one has left. */
  watched(session: string, on: boolean): void {
    this.#asker.watched(session, on);
    this.#tick();
  }

  /** This orchestrator has just got the session's worker. */
  given(session: string): void {
    this.#asker.given(session);
    this.#teller.given(session);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#teller.close();
    this.#outbox.close();
  }

  #ask(payloads: string[]): void {
    if (this.#hears) this.#outbox.push(undefined, payloads);
  }

  /** Runs while somebody watches, here or elsewhere. */
  #tick(): void {
    this.#timer ??= setInterval(() => {
      // First what is told: a session that has left is not asked for because of those who watch it elsewhere.
      this.#teller.look(this.#deps.clock.monotonic());
      this.#asker.repeat();
      if (this.#asker.size + this.#teller.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    }, this.#deps.repeatMs ?? 3_000).unref();
  }
}
