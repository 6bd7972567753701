import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Delta } from "@guildhall/protocol";
import type { JoinRequestSchema } from "@guildhall/protocol/internal";

import type { DeltaHub } from "../worker/deltas.ts";
import type { Outbox } from "./outbox.ts";

type Message = MessageInitShape<typeof JoinRequestSchema>;

/** Tells an orchestrator what is on its way in the sessions that somebody watches there. It is a preview: where messages pile up, it is left out. */
export class DeltaSender {
  readonly #hub: Pick<DeltaHub, "subscribe">;
  readonly #ends = new Map<string, () => void>();

  constructor(hub: Pick<DeltaHub, "subscribe">) {
    this.#hub = hub;
  }

  /** Begins to tell of a session; asked again, it begins anew. */
  begin(session: string, outbox: Pick<Outbox<Message>, "push" | "length">): void {
    this.end(session);
    const deliver = (deltas: Delta[]): void => {
      if (outbox.length < MOST_WAITING) outbox.push({ kind: { case: "deltas", value: { session, deltas } } });
    };
    this.#ends.set(session, this.#hub.subscribe(session, deliver));
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
