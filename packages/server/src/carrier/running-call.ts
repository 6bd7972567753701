import { Code, ConnectError, createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { CallBegin } from "@guildhall/protocol/internal";

import type { CarriedMethod } from "./carried-methods.ts";

/** What an implementation is told of its call; made as it is asked for, because few ask. */
export class RunningCall implements HandlerContext {
  readonly method;
  readonly service;
  readonly requestMethod = "POST";
  readonly protocolName = "grpc";
  readonly url: string;
  /** Why nobody waits for it any more: it was cancelled, or its deadline is over. */
  stopped: ConnectError | undefined;
  readonly #until: number | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  #window: number;
  #opened: (() => void) | undefined;
  #abort: AbortController | undefined;

  constructor({ desc }: CarriedMethod, { method, timeoutMs, window }: CallBegin) {
    this.method = desc;
    this.service = desc.parent;
    this.url = `http://guildhall.local/${method}`;
    this.#window = window;
    if (timeoutMs === 0) return;
    this.#until = performance.now() + timeoutMs;
    this.#timer = setTimeout(() => this.#stop(OVERDUE), Math.min(timeoutMs, 2 ** 31 - 1)).unref();
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.stopped !== undefined) this.#abort.abort(this.stopped);
    return this.#abort.signal;
  }
  timeoutMs = (): number | undefined => (this.#until === undefined ? undefined : Math.ceil(Math.max(1, this.#until - performance.now())));
  get requestHeader(): Headers {
    return new Headers();
  }
  get responseHeader(): Headers {
    return new Headers();
  }
  get responseTrailer(): Headers {
    return new Headers();
  }
  get values(): HandlerContext["values"] {
    return createContextValues();
  }

  /** The caller has taken so much. */
  allow(more: number): void {
    this.#window += more;
    this.#opened?.();
  }

  /** Resolves when one more message may be sent, or nobody waits for it. */
  async allowed(): Promise<void> {
    while (this.#window <= 0 && this.stopped === undefined) await new Promise<void>((resolve) => (this.#opened = resolve));
  }

  sent(weight: number): void {
    this.#window -= weight;
  }

  cancel(): void {
    this.#stop(CANCELLED);
  }

  /** What listens for the call's end is told of it. */
  over(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort(OVER);
  }

  #stop(why: ConnectError): void {
    this.stopped ??= why;
    this.#abort?.abort(why);
    this.#opened?.();
  }
}

/** One for all: an error is dear to make, for its stack. */
const CANCELLED = new ConnectError("the call was cancelled", Code.Canceled);
const OVERDUE = new ConnectError("the operation timed out", Code.DeadlineExceeded);
const OVER = new ConnectError("the call is over", Code.Canceled);
