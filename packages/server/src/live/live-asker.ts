import type { DeltaHub } from "../worker/deltas.ts";
import { FrameJoiner } from "./live-frames.ts";
import { type LiveRequest, requestFrames } from "./live-requests.ts";

/**
 * Watches here of sessions that another orchestrator's workers have: asks for what is on its way, and hands it to those who watch. Only an unbroken
 * run from a beginning is handed on; where something is missing all is asked for anew.
 */
export class LiveAsker {
  readonly #id: string;
  readonly #hub: Pick<DeltaHub, "relay">;
  readonly #isHere: (session: string) => boolean;
  readonly #ask: (payloads: string[]) => void;
  readonly #watched = new Map<string, Watch>();
  readonly #joiner = new FrameJoiner();

  /** `isHere`: this orchestrator has the session's worker, and nothing that others say of it is believed. */
  constructor(id: string, around: { hub: Pick<DeltaHub, "relay">; isHere(session: string): boolean; ask(payloads: string[]): void }) {
    this.#id = id;
    this.#hub = around.hub;
    this.#isHere = around.isHere;
    this.#ask = around.ask;
  }

  get size(): number {
    return this.#watched.size;
  }

  watched(session: string, on: boolean): void {
    if (on) this.#watched.set(session, { source: "", next: 0, asked: true, unsure: false });
    else {
      this.#watched.delete(session);
      this.#joiner.forget(session);
    }
    if (!this.#isHere(session)) this.#send(on ? "anew" : "leave", [session]);
  }

  /** Says it again: who does not hear it for a while takes it that nobody watches any more. `anew`: something may have been missed. */
  repeat(anew = false): void {
    const wanted: string[] = [];
    const broken: string[] = [];
    for (const [session, watch] of this.#watched) {
      if (this.#isHere(session)) watch.source = "";
      else if (anew || watch.unsure || watch.source === "") broken.push(session);
      else wanted.push(session);
      watch.asked = watch.unsure = false;
    }
    this.#send("want", wanted);
    this.#send("anew", broken);
  }

  /** This orchestrator has just got the session's worker: what others have told so far is void. */
  given(session: string): void {
    const watch = this.#watched.get(session);
    if (watch !== undefined) watch.source = "";
  }

  heard(payload: string): void {
    const piece = this.#joiner.take(payload, (session) => this.#watched.has(session) && !this.#isHere(session));
    const watch = piece === undefined ? undefined : this.#watched.get(piece.message.session);
    if (piece === undefined || watch === undefined) return;
    const { source, nth, message } = piece;
    if (message.anew) {
      watch.unsure ||= watch.source !== source;
      watch.source = source;
      watch.asked = false;
    } else if (watch.source !== source || watch.next !== nth) {
      watch.source = "";
      if (!watch.asked) this.#send("anew", [message.session]);
      watch.asked = true;
      return;
    }
    watch.next = nth + 1;
    this.#hub.relay(message.session, message.deltas, message.anew);
  }

  #send(kind: LiveRequest["kind"], sessions: string[]): void {
    if (sessions.length > 0) this.#ask(requestFrames({ kind, asker: this.#id, sessions }));
  }
}

interface Watch {
  /** Whose unbroken run it is; empty: nobody's. */
  source: string;
  next: number;
  /** It was asked for anew since it was said last that somebody watches. */
  asked: boolean;
  /** Another tells it than before: whose word is the later one shows when all are asked once more. */
  unsure: boolean;
}
