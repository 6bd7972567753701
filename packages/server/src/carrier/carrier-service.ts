import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Clock, systemClock } from "@guildhall/core";
import type { CallBegin, CallFrame, CarryRequest, CarryResponseSchema } from "@guildhall/protocol/internal";

import type { Log } from "../daemon/log.ts";
import { toStatus } from "../rpc/errors.ts";
import { LONGEST_NAME, type Operations } from "../rpc/operations.ts";
import { toCallEnd } from "./call-status.ts";
import type { CarriedMethod, CarriedMethods } from "./carried-methods.ts";
import { createFrameBox, type FrameBox } from "./frame-box.ts";
import { RunningCall } from "./running-call.ts";
import { LARGEST_MESSAGE, weightOf } from "./window.ts";

export interface CarrierOptions {
  methods: CarriedMethods;
  /** Shared with the calls that have streams of their own. */
  operations: Operations;
  log: Log;
  clock?: Clock;
}

/**
 * Answers many calls that come over one stream: `carriedTransport` is its other end. A call of its own stream costs a header block, a chain of
 * a dozen asynchronous generators and an aborted signal on either side, which is more than most calls between our services do.
 * Who may open the stream may make the calls: both are behind the same token and certificate.
 *
 * Bounded: calls at once, what waits to be sent (no more calls are read meanwhile), and of each call what its caller has not read.
 */
export function carrierService({ methods, operations, log, clock = systemClock() }: CarrierOptions) {
  return {
    async *carry(requests: AsyncIterable<CarryRequest>): AsyncGenerator<MessageInitShape<typeof CarryResponseSchema>> {
      const box = createFrameBox();
      const calls = new Calls({ methods, operations, log, box });
      const listening = (async () => {
        for await (const { frames } of requests) {
          for (const frame of frames) calls.receive(frame);
          await box.room(MOST_WAITING);
        }
      })();
      // A connection that breaks ends the calls on it, and is no fault of this service's.
      listening.then(box.end, box.end);
      try {
        yield { frames: [], timeMs: clock.now().getTime() };
        for await (const { frames } of box.batches()) yield { frames, timeMs: clock.now().getTime() };
      } finally {
        box.end();
        calls.cancelAll();
      }
    },
  };
}

/** Bytes: one message of the largest kind, and answers of others beside it. */
const MOST_WAITING = LARGEST_MESSAGE + (32 << 20);
/** On one stream at once. */
const MOST_CALLS = 20_000;

type CallsDeps = Omit<CarrierOptions, "clock"> & { box: FrameBox };

/** The calls under way on one stream. */
class Calls {
  readonly #deps: CallsDeps;
  readonly #running = new Map<number, RunningCall>();

  constructor(deps: CallsDeps) {
    this.#deps = deps;
  }

  receive({ call, kind }: CallFrame): void {
    if (kind.case === "begin") this.#begin(call, kind.value);
    else if (kind.case === "cancel") this.#running.get(call)?.cancel();
    else if (kind.case === "taken") this.#running.get(call)?.allow(kind.value);
  }

  cancelAll(): void {
    for (const running of this.#running.values()) running.cancel();
  }

  #begin(call: number, begin: CallBegin): void {
    const method = this.#deps.methods.find(begin.method);
    if (method === undefined) return this.#fail(call, new ConnectError(`${begin.method} is not served here`, Code.Unimplemented));
    // Its answers could not be told from the other's.
    if (this.#running.has(call)) throw new ConnectError(`call ${call} is begun twice`, Code.InvalidArgument);
    if (this.#running.size >= MOST_CALLS)
      return this.#fail(call, new ConnectError(`there are ${MOST_CALLS} calls at once`, Code.ResourceExhausted));
    const running = new RunningCall(method, begin);
    this.#running.set(call, running);
    this.#answer(call, method, begin, running)
      .catch((error: unknown) => this.#fail(call, this.#meaning(error, method, running)))
      .finally(() => {
        this.#running.delete(call);
        running.over();
      });
  }

  async #answer(call: number, method: CarriedMethod, { operation, request }: CallBegin, running: RunningCall): Promise<void> {
    const { box, operations } = this.#deps;
    const message = decode(method.desc.input, request);
    const { output } = method.desc;
    if (method.kind === "one") {
      const make = async () => await method.call(message, running);
      const answer = operation === "" || operation.length > LONGEST_NAME ? await make() : await operations.once(operation, make);
      box.push(call, { case: "last", value: encode(output, answer) });
      return;
    }
    for await (const response of method.call(message, running)) {
      await running.allowed();
      if (running.stopped !== undefined) throw running.stopped;
      const value = encode(output, response);
      running.sent(weightOf(value));
      box.push(call, { case: "message", value });
    }
    box.push(call, { case: "end", value: {} });
  }

  /** What a call that was cut at its deadline throws says less than that the deadline is over. */
  #meaning(error: unknown, { desc }: CarriedMethod, { stopped }: RunningCall): ConnectError {
    return stopped?.code === Code.DeadlineExceeded ? stopped : toStatus(error, desc.name, this.#deps.log);
  }

  #fail(call: number, status: ConnectError): void {
    this.#deps.box.push(call, { case: "end", value: toCallEnd(status) });
  }
}

function decode(desc: DescMessage, bytes: Uint8Array): ReturnType<typeof fromBinary<DescMessage>> {
  try {
    return fromBinary(desc, bytes);
  } catch (error) {
    throw new ConnectError(`the request is no ${desc.typeName}`, Code.InvalidArgument, undefined, undefined, error);
  }
}

function encode(desc: DescMessage, message: MessageInitShape<DescMessage>): Uint8Array {
  const bytes = toBinary(desc, create(desc, message));
  if (bytes.length <= LARGEST_MESSAGE) return bytes;
  throw new ConnectError(`a message of ${bytes.length} bytes is more than ${LARGEST_MESSAGE}`, Code.ResourceExhausted);
}
