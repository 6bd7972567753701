import { create, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { CarrierService } from "@guildhall/protocol/internal";

import { isNamed } from "../rpc/operations.ts";
import { nameOf } from "./carried-methods.ts";
import { type CarriedCall, CarrierLine, NOT_SERVED } from "./carrier-line.ts";
import type { Carry } from "./raw-stream.ts";
import { WINDOW, weightOf } from "./window.ts";

/**
 * Makes the calls of one request over one stream of `plain` that stays open, many in a message; large requests and calls of other kinds go over
 * streams of their own, as do all while the other side knows no carrier. What a transport promises holds: deadline, cancellation, statuses with
 * details, and that who reads slowly keeps few messages waiting. When the stream breaks, all calls on it fail as `unavailable`, and the next one opens another.
 * `time` is told what the clock of the other side says, milliseconds since 1970; `carry` opens the stream, by default as `plain` does.
 */
export function carriedTransport(
  plain: Transport,
  time?: (ms: number) => void,
  carry: Carry = createClient(CarrierService, plain).carry,
): Transport {
  let line: CarrierLine | undefined;
  let plainUntil = 0;
  const carries = (headers: unknown): boolean => headers === undefined && performance.now() >= plainUntil;
  const current = (): CarrierLine => {
    if (line === undefined || line.over) line = new CarrierLine(carry, time);
    return line;
  };
  const notServed = (error: unknown): boolean => {
    if (error !== NOT_SERVED) return false;
    plainUntil = performance.now() + ASKED_AGAIN_MS;
    return true;
  };

  return {
    async unary(method, signal, timeoutMs, headers, input, values) {
      const elsewhere = () => plain.unary(method, signal, timeoutMs, headers, input, values);
      if (!carries(headers)) return await elsewhere();
      const request = toBinary(method.input, create(method.input, input));
      if (request.length > LARGE) return await elsewhere();
      try {
        const bytes = await new Promise<Uint8Array>((resolve, reject) => {
          let answered = false;
          const message = (answer: Uint8Array): void => {
            answered = true;
            resolve(answer);
          };
          const end = (error?: ConnectError): void => {
            // An error is dear to make, for its stack.
            if (!answered) reject(error ?? empty(method));
          };
          begin(current(), method, request, { signal, timeoutMs, message, end });
        });
        return answer(method, { stream: false, message: fromBinary(method.output, bytes) });
      } catch (error) {
        if (notServed(error)) return await elsewhere();
        throw error;
      }
    },
    async stream(method, signal, timeoutMs, headers, input, values) {
      if (method.methodKind !== "server_streaming" || !carries(headers))
        return await plain.stream(method, signal, timeoutMs, headers, input, values);
      const messages = await Array.fromAsync(input);
      const elsewhere = () => plain.stream(method, signal, timeoutMs, headers, each(messages), values);
      const request = toBinary(method.input, create(method.input, messages[0]));
      if (request.length > LARGE) return await elsewhere();
      const own = current();
      try {
        const responses = received(own, method, request, { signal, timeoutMs });
        await own.begun;
        return answer(method, { stream: true, message: responses });
      } catch (error) {
        if (notServed(error)) return await elsewhere();
        throw error;
      }
    },
  };
}

/** Of a request, bytes: what is larger would hold up the calls behind it. */
const LARGE = 256 << 10;
/** How long a process that knows no carrier is not asked for one again, milliseconds. */
const ASKED_AGAIN_MS = 60_000;

interface Terms {
  signal: AbortSignal | undefined;
  timeoutMs: number | undefined;
}

/** Begins a call that ends with its signal and at its deadline. Returns its number. */
function begin(line: CarrierLine, method: DescMethod, request: Uint8Array, { signal, timeoutMs, ...call }: Terms & CarriedCall): number {
  if (signal?.aborted === true) {
    call.end(cancelled(signal));
    return 0;
  }
  const stop = (why: ConnectError): void => {
    line.cancel(id);
    ended.end(why);
  };
  const abort = (): void => stop(cancelled(signal));
  // As with a stream of its own: nothing and less than nothing is no deadline.
  const within = Math.min(Math.ceil(Math.max(0, timeoutMs ?? 0)), LONGEST_TIMER);
  const timer =
    within === 0 ? undefined : setTimeout(() => stop(new ConnectError("the operation timed out", Code.DeadlineExceeded)), within);
  signal?.addEventListener("abort", abort, { once: true });
  const ended: CarriedCall = {
    message: call.message,
    end(error) {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      call.end(error);
    },
  };
  const window = method.methodKind === "unary" ? 0 : WINDOW;
  const id = line.begin({ method: nameOf(method), timeoutMs: within, request, window }, ended, isNamed(method));
  return id;
}

const LONGEST_TIMER = 2 ** 31 - 1;

function received<O extends DescMessage>(
  line: CarrierLine,
  method: DescMethod & { output: O },
  request: Uint8Array,
  terms: Terms,
): AsyncIterable<MessageShape<O>> {
  const waiting: Uint8Array[] = [];
  let end: { error: ConnectError | undefined } | undefined;
  let wake = (): void => undefined;
  const id = begin(line, method, request, {
    ...terms,
    message(bytes) {
      waiting.push(bytes);
      wake();
    },
    end(error) {
      end = { error };
      wake();
    },
  });
  return (async function* () {
    let taken = 0;
    try {
      for (;;) {
        const bytes = terms.signal?.aborted === true ? undefined : waiting.shift();
        if (bytes !== undefined) {
          yield fromBinary(method.output, bytes);
          taken += weightOf(bytes);
          if (taken < WINDOW / 2) continue;
          line.taken(id, taken);
          taken = 0;
        } else if (end === undefined) await new Promise<void>((resolve) => (wake = resolve));
        else if (end.error === undefined) return;
        else throw end.error;
      }
    } finally {
      if (end === undefined) line.cancel(id);
    }
  })();
}

function cancelled(signal: AbortSignal | undefined): ConnectError {
  const reason: unknown = signal?.reason;
  if (reason instanceof ConnectError) return reason;
  return new ConnectError("the call was cancelled", Code.Canceled, undefined, undefined, reason);
}

function empty({ name }: DescMethod): ConnectError {
  return new ConnectError(`${name} was answered with nothing`, Code.Internal);
}

/** Nothing is said but messages. */
function answer<M extends DescMethod, R>(method: M, rest: R) {
  return { service: method.parent, method, header: new Headers(), trailer: new Headers(), ...rest };
}

async function* each<T extends MessageInitShape<DescMessage>>(messages: readonly T[]): AsyncIterable<T> {
  yield* messages;
}
