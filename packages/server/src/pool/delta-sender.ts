import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Delta } from "@guildhall/protocol";
import type { JoinRequestSchema } from "@guildhall/protocol/internal";

import type { DeltaHub } from "../worker/deltas.ts";
import type { Outbox } from "./outbox.ts";

type Message = MessageInitShape<typeof JoinRequestSchema>;

/**
 * Tells an orchestrator what is on its way in the sessions that somebody watches there. It is a preview: where messages pile up, it is left out,
 * and told anew once there is room, because what a session says last may be all that it says for long.
 */
export class DeltaSender {
  readonly #hub: Pick<DeltaHub, "subscribe">;
  readonly #ends = new Map<string, () => void>();
  readonly #againMs: number;

  /** `againMs`: after which it is tried again where something was left out. */
  constructor(hub: Pick<DeltaHub, "subscribe">, againMs = 200) {
    this.#hub = hub;
    this.#againMs = againMs;
  }

  /** Begins to tell of a session; asked again, it begins anew. */
  begin(session: string, outbox: Pick<Outbox<Message>, "push" | "length">): void {
    this.end(session);
    let anew = true;
    let again: NodeJS.Timeout | undefined;
    const deliver = (deltas: Delta[]): void => {
      if (again !== undefined) return;
      if (outbox.length >= MOST_WAITING) {
        again = setTimeout(() => this.begin(session, outbox), this.#againMs).unref();
        return;
      }
      outbox.push({ kind: { case: "deltas", value: { session, deltas, anew } } });
      anew = false;
    };
    const leave = this.#hub.subscribe(session, deliver);
    this.#ends.set(session, () => {
      clearTimeout(again);
      leave();
    });
  }

  end(session: string): void {
    this.#ends.get(session)?.();
    this.#ends.delete(session);
  }

  /** Whoever asked cannot be reached any more. */
  endAll(): void {
    for (const session of this.#ends.keys()) this.end(session);
  }
}

/** Messages that may wait to be sent before previews are left out: what else a worker has to say is never far behind them. */
const MOST_WAITING = 16;
