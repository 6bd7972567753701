import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { type ErrorCode, GuildError } from "@guildhall/core";
import { ErrorDetailSchema } from "@guildhall/protocol";

import type { Log } from "../daemon/log.ts";

/** The gRPC status of each error code. */
const rpcStatus: Readonly<Record<ErrorCode, Code>> = {
  invalid_argument: Code.InvalidArgument,
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  permission_denied: Code.PermissionDenied,
  unauthenticated: Code.Unauthenticated,
  failed_precondition: Code.FailedPrecondition,
  sequence_moved: Code.Aborted,
  lease_lost: Code.Aborted,
  resource_exhausted: Code.ResourceExhausted,
  storage_full: Code.ResourceExhausted,
  version_mismatch: Code.FailedPrecondition,
  unavailable: Code.Unavailable,
  deadline_exceeded: Code.DeadlineExceeded,
  cancelled: Code.Canceled,
  corrupt: Code.DataLoss,
  unsupported: Code.Unimplemented,
  internal: Code.Internal,
};

/** The one place where errors become statuses: ours with their detail, others as `internal`, logged with their stack. */
export function errorInterceptor(log: Log): Interceptor {
  return (next) => async (request) => {
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: guard(response.message, request, log) };
    } catch (error) {
      throw overdue(request.signal) ?? toStatus(error, request.method.name, log);
    }
  };
}

async function* guard<T>(messages: AsyncIterable<T>, request: GuardedRequest, log: Log): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw overdue(request.signal) ?? toStatus(error, request.method.name, log);
  }
}

type GuardedRequest = Pick<Parameters<ReturnType<Interceptor>>[0], "signal" | "method">;

/** What a call that was cut at its deadline throws says less than that the deadline is over. */
function overdue({ aborted, reason }: AbortSignal): ConnectError | undefined {
  return aborted && reason instanceof ConnectError && reason.code === Code.DeadlineExceeded ? reason : undefined;
}

/** An error as the status that other processes see; what is no error of ours is logged. */
export function toStatus(error: unknown, method: string, log: Log): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof Error && error.name === "AbortError")
    return new ConnectError("the call was cancelled", Code.Canceled, undefined, undefined, error);
  const own = GuildError.from(error);
  if (own.code === "internal") log.error(`${method} failed`, error);
  return statusOf(own);
}

/** An error of ours as the status that it is on the wire, with its detail. */
export function statusOf(error: GuildError): ConnectError {
  const { code, message, subject = "", remedy = "" } = error;
  return new ConnectError(message, rpcStatus[code], undefined, [{ desc: ErrorDetailSchema, value: { code, subject, remedy } }], error);
}
