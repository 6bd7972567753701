import type { DeltasMessage } from "@guildhall/protocol/internal";

import type { LiveElsewhere } from "../live/live-elsewhere.ts";
import type { DeltaHub } from "../worker/deltas.ts";
import type { Member } from "./pool-members.ts";

/**
 * Brings what is on its way in sessions that run in other processes to those who watch them here. Workers are asked for it only while somebody
 * watches; one in this process publishes at the same hub and is never asked.
 */
export class DeltaRelay {
  readonly #hub: DeltaRelayHub;
  /** Workers that say when they tell all anew; those of the release before do not. */
  readonly #saying = new WeakSet<Member>();
  readonly #elsewhere: Elsewhere | undefined;
  readonly #workerOf: (session: string) => Member | undefined;

  /** `workerOf`: who works on a session just now. `elsewhere`: other orchestrators, whose workers may do so. */
  constructor(hub: DeltaRelayHub, workerOf: (session: string) => Member | undefined, elsewhere?: Elsewhere) {
    this.#hub = hub;
    this.#workerOf = workerOf;
    this.#elsewhere = elsewhere;
    hub.onWatched((session, on) => {
      this.#ask(session, on);
      elsewhere?.watched(session, on);
    });
  }

  /** A worker has just been given the session: what another had under way is void. */
  given(session: string): void {
    this.#hub.clear(session);
    this.kept(session);
    this.#elsewhere?.given(session);
  }

  /** A worker holds the session still after its connection broke. */
  kept(session: string): void {
    if (this.#hub.isWatched(session)) this.#ask(session, true);
  }

  /** What a worker tells; of sessions that it does not work on (any more) nothing is believed. */
  heard(member: Member, { session, deltas, anew }: DeltasMessage): void {
    if (this.#workerOf(session)?.id !== member.id) return;
    if (anew) this.#saying.add(member);
    this.#hub.relay(session, deltas, anew || this.#saying.has(member) ? anew : undefined);
  }

  #ask(session: string, on: boolean): void {
    const member = this.#workerOf(session);
    if (member?.local === false) member.send?.({ kind: { case: "listen", value: { session, on } } });
  }
}

export type Elsewhere = Pick<LiveElsewhere, "watched" | "given">;
export type DeltaRelayHub = Pick<DeltaHub, "clear" | "relay" | "isWatched" | "onWatched">;
