import { create } from "@bufbuild/protobuf";
import { DeltasMessageSchema } from "@guildhall/protocol/internal";

import { DeltaSender } from "../pool/delta-sender.ts";
import type { DeltaHub } from "../worker/deltas.ts";
import { framesOf } from "./live-frames.ts";
import type { LiveOutbox } from "./live-outbox.ts";
import type { LiveRequest } from "./live-requests.ts";

/** Tells other orchestrators what is on its way in the sessions that they watch and this one has the worker of. */
export class LiveTeller {
  readonly #id: string;
  readonly #hub: Pick<DeltaHub, "subscribe">;
  readonly #isHere: (session: string) => boolean;
  readonly #outbox: LiveOutbox;
  #sources = 0;
  readonly #asked = new Map<string, Asked>();

  constructor(id: string, around: { hub: Pick<DeltaHub, "subscribe">; isHere(session: string): boolean; outbox: LiveOutbox }) {
    this.#id = id;
    this.#hub = around.hub;
    this.#isHere = around.isHere;
    this.#outbox = around.outbox;
  }

  get size(): number {
    return this.#asked.size;
  }

  /** `now`: milliseconds of a clock that only grows. */
  heard({ kind, asker, sessions }: LiveRequest, now: number): void {
    if (asker === this.#id) return;
    for (const session of sessions) {
      const name = `${asker}\n${session}`;
      const known = this.#asked.get(name);
      if (kind === "leave") {
        this.#end(name);
      } else if (known !== undefined || this.#asked.size < MOST_ASKED) {
        const asked = known ?? { asker, session, at: now, source: `${this.#id}.${++this.#sources}`, told: 0, sender: undefined };
        asked.at = now;
        this.#asked.set(name, asked);
        this.#follow(asked, kind === "anew");
      }
    }
  }

  /** This orchestrator has just got the session's worker. */
  given(session: string): void {
    for (const asked of this.#asked.values()) if (asked.session === session) this.#follow(asked, true);
  }

  /** Something that was told was not heard by anybody. */
  lost(): void {
    for (const asked of this.#asked.values()) this.#follow(asked, true);
  }

  /** Ends what nobody has asked for lately, and what another has by now. */
  look(now: number): void {
    for (const [name, asked] of this.#asked) {
      if (now - asked.at > KEPT_MS) this.#end(name);
      else this.#follow(asked, false);
    }
  }

  close(): void {
    for (const name of this.#asked.keys()) this.#end(name);
  }

  #follow(asked: Asked, anew: boolean): void {
    if (!this.#isHere(asked.session)) {
      asked.sender?.endAll();
      asked.sender = undefined;
    } else if (asked.sender === undefined || anew) {
      asked.sender ??= new DeltaSender(this.#hub);
      asked.sender.begin(asked.session, this.#boxOf(asked));
    }
  }

  /** Where the sender puts what it has to tell; it leaves out what finds no room, and tells all anew later. */
  #boxOf(asked: Asked): Parameters<DeltaSender["begin"]>[1] {
    const outbox = this.#outbox;
    return {
      push: ({ kind }) => {
        if (kind?.case !== "deltas") return;
        const message = create(DeltasMessageSchema, kind.value);
        outbox.push(asked.asker, framesOf({ source: asked.source, nth: asked.told++, message }));
      },
      get length() {
        return outbox.isFull ? Infinity : 0;
      },
    };
  }

  #end(name: string): void {
    this.#asked.get(name)?.sender?.endAll();
    this.#asked.delete(name);
  }
}

interface Asked {
  asker: string;
  session: string;
  /** When it was asked for last. */
  at: number;
  /** Another whenever counting begins again. */
  source: string;
  /** Messages told. */
  told: number;
  sender: DeltaSender | undefined;
}

/** Asked every three seconds; who has not been heard for so long is gone. */
const KEPT_MS = 10_000;
/** Watches at other orchestrators; more are not told of what is on its way. */
const MOST_ASKED = 10_000;
