import { randomUUID } from "node:crypto";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { CallBeginSchema, CallFrame } from "@guildhall/protocol/internal";

import { fromCallEnd } from "./call-status.ts";
import { createFrameBox } from "./frame-box.ts";
import { PartJoiner } from "./part-joiner.ts";
import type { Carry } from "./raw-stream.ts";
import { LARGEST_MESSAGE } from "./window.ts";

/** What comes back of a call. */
export interface CarriedCall {
  message(bytes: Uint8Array): void;
  /** Nothing more comes; `error`: it has failed. */
  end(error?: ConnectError): void;
}

/** The other side has no carrier, or none for us, and has therefore seen nothing of what was sent. */
export const NOT_SERVED = new ConnectError("no carrier is served there", Code.Unimplemented);
const REFUSED: ReadonlySet<Code> = new Set([Code.Unimplemented, Code.Unauthenticated, Code.PermissionDenied]);

/** One stream to another service and the calls on it. */
export class CarrierLine {
  /** The stream stands; rejects when it could not be opened. */
  readonly begun: Promise<void>;
  /** It takes no more calls. */
  over = false;
  readonly #calls = new Map<number, CarriedCall>();
  readonly #box = createFrameBox();
  readonly #joiner = new PartJoiner(LARGEST_MESSAGE);
  readonly #name = randomUUID();
  #last = 0;

  /** `time` is told what the clock of the other side says, milliseconds since 1970. */
  constructor(carry: Carry, time?: (ms: number) => void) {
    const begun = Promise.withResolvers<void>();
    this.begun = begun.promise;
    let stands = false;
    const run = async (): Promise<void> => {
      for await (const { frames, timeMs } of carry(this.#box.batches())) {
        stands = true;
        begun.resolve();
        time?.(timeMs);
        for (const frame of frames) this.#receive(frame);
      }
    };
    const end = (error?: unknown): void => {
      const why = this.#why(error, stands);
      begun.reject(why);
      this.#end(why);
    };
    run().then(end, end);
    // Who waits for it hears of it; calls are told one by one.
    this.begun.catch(() => undefined);
  }

  /** `named`: the call does harm when it is made twice. */
  begin(value: MessageInitShape<typeof CallBeginSchema>, call: CarriedCall, named: boolean): number {
    const id = (this.#last += 1);
    this.#calls.set(id, call);
    this.#box.push(id, { case: "begin", value: named ? { ...value, operation: `${this.#name}/${id}` } : value });
    return id;
  }

  /** Nobody wants to hear of the call any more. */
  cancel(id: number): void {
    if (!this.#calls.delete(id)) return;
    this.#joiner.drop(id);
    this.#box.push(id, { case: "cancel", value: {} });
  }

  /** Of a call, so much more may be sent: `weightOf` what was taken. */
  taken(id: number, weight: number): void {
    if (this.#calls.has(id)) this.#box.push(id, { case: "taken", value: weight });
  }

  #receive({ call: id, kind }: CallFrame): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    if (kind.case === "part") {
      const tooLarge = this.#joiner.add(id, kind.value);
      if (tooLarge === undefined) return;
      this.cancel(id);
      call.end(tooLarge);
    } else if (kind.case === "message") call.message(this.#joiner.whole(id, kind.value));
    else if (kind.case === "last") {
      this.#calls.delete(id);
      call.message(this.#joiner.whole(id, kind.value));
      call.end();
    } else if (kind.case === "end") {
      this.#calls.delete(id);
      this.#joiner.drop(id);
      call.end(kind.value.code === 0 ? undefined : fromCallEnd(kind.value));
    }
  }

  #end(why: ConnectError): void {
    this.over = true;
    this.#box.end();
    for (const call of this.#calls.values()) call.end(why);
    this.#calls.clear();
  }

  #why(error: unknown, stands: boolean): ConnectError {
    // Nobody here cancels the stream: whoever says so speaks of the connection.
    if (!stands && error instanceof ConnectError && error.code !== Code.Canceled) return REFUSED.has(error.code) ? NOT_SERVED : error;
    return new ConnectError("the connection broke", Code.Unavailable, undefined, undefined, error);
  }
}
