import { randomUUID } from "node:crypto";

import type { DescMethod } from "@bufbuild/protobuf";
import type { Interceptor, StreamResponse, UnaryResponse } from "@connectrpc/connect";
import { LedgerService, LogService } from "@guildhall/protocol/internal";

const HEADER = "guildhall-operation";
/** Answers that are kept: calls of some seconds, which is longer than anything on the way repeats itself. */
const KEPT = 1_000;

/** What does harm when it is done twice. */
const NAMED: ReadonlySet<DescMethod> = new Set<DescMethod>([
  LogService.method.createRecord,
  LogService.method.append,
  LogService.method.appendInput,
  LogService.method.acquireLease,
  LedgerService.method.reserve,
  LedgerService.method.settle,
]);

/** Whether each call of it must have a name. */
export function isNamed(method: DescMethod): boolean {
  return NAMED.has(method);
}

/** Names each call of such methods, so that what comes twice is known to be one. */
export const namedOperations: Interceptor = (next) => async (request) => {
  if (!request.stream && isNamed(request.method)) request.header.set(HEADER, randomUUID());
  return await next(request);
};

/** The newest answers to calls with names. */
export class Operations {
  readonly #answers = new Map<string, Promise<unknown>>();
  readonly #kept: number;

  constructor(kept = KEPT) {
    this.#kept = kept;
  }

  /** Makes the call, or gives what was answered to the first of that name; `again` then makes that fit to be answered a second time. */
  async once<T>(name: string, call: () => Promise<T>, again = (answer: T): T => answer): Promise<T> {
    const known = this.#answers.get(name);
    if (known !== undefined) return again((await known) as T);
    const answer = call();
    this.#answers.set(name, answer);
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= this.#kept) break;
      this.#answers.delete(oldest);
    }
    return await answer;
  }
}

/**
 * Does every named call once: a request that something on the way sends again (a proxy that lost its connection, say) gets the answer of the first,
 * late or side by side. Callers without names, of an older version, are served as they ask.
 */
export function onceEach(operations: Operations): Interceptor {
  return (next) => async (request) => {
    const name = request.stream ? null : request.header.get(HEADER);
    if (name === null || name.length > LONGEST_NAME) return await next(request);
    return await operations.once(name, () => next(request), copyOf);
  };
}

/** Of an operation, characters. */
export const LONGEST_NAME = 100;

/** Headers are written to on the way out. */
function copyOf<T extends UnaryResponse | StreamResponse>(response: T): T {
  return { ...response, header: new Headers(response.header), trailer: new Headers(response.trailer) };
}
