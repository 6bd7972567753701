import { randomUUID } from "node:crypto";

import type { Interceptor, StreamResponse, UnaryResponse } from "@connectrpc/connect";
import { LedgerService, LogService } from "@guildhall/protocol/internal";

const HEADER = "guildhall-operation";
/** Answers that are kept: calls of some seconds, which is longer than anything on the way repeats itself. */
const KEPT = 1_000;

/** What does harm when it is done twice. */
const NAMED: ReadonlySet<string> = new Set([
  ...["CreateRecord", "Append", "AppendInput", "AcquireLease"].map((name) => `${LogService.typeName}/${name}`),
  ...["Reserve", "Settle"].map((name) => `${LedgerService.typeName}/${name}`),
]);

/** Names each call of such methods, so that what comes twice is known to be one. */
export const namedOperations: Interceptor = (next) => async (request) => {
  if (!request.stream && NAMED.has(`${request.service.typeName}/${request.method.name}`)) request.header.set(HEADER, randomUUID());
  return await next(request);
};

/**
 * Does every named call once: a request that something on the way sends again (a proxy that lost its connection, say) gets the answer of the first,
 * late or side by side. Callers without names, of an older version, are served as they ask.
 */
export function onceEach(kept = KEPT): Interceptor {
  const answers = new Map<string, Promise<UnaryResponse | StreamResponse>>();
  return (next) => async (request) => {
    const name = request.stream ? null : request.header.get(HEADER);
    if (name === null || name.length > 100) return await next(request);
    const known = answers.get(name);
    if (known !== undefined) return copyOf(await known);
    const answer = next(request);
    answers.set(name, answer);
    for (const oldest of answers.keys()) {
      if (answers.size <= kept) break;
      answers.delete(oldest);
    }
    return await answer;
  };
}

/** Headers are written to on the way out. */
function copyOf<T extends UnaryResponse | StreamResponse>(response: T): T {
  return { ...response, header: new Headers(response.header), trailer: new Headers(response.trailer) };
}
