import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { type ErrorCode, GuildError } from "@guildhall/core";
import { ErrorDetailSchema } from "@guildhall/protocol";

/** Turns statuses back into the errors that they were on the other side; of streams too. */
export const errorInterceptor: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: convert(response.message) } : response;
  } catch (error) {
    throw fromStatus(error);
  }
};

/** The error that a status stands for. Without a detail of ours, the status code decides. */
export function fromStatus(error: unknown): GuildError {
  if (error instanceof GuildError) return error;
  if (!(error instanceof ConnectError)) return GuildError.from(error);
  const detail = error.findDetails(ErrorDetailSchema)[0];
  const options = {
    ...(detail?.subject ? { subject: detail.subject } : {}),
    ...(detail?.remedy ? { remedy: detail.remedy } : {}),
    cause: error,
  };
  if (detail !== undefined) return new GuildError(detail.code as ErrorCode, error.rawMessage, options);
  if (error.code === Code.Canceled) return new GuildError("cancelled", "the call was cancelled", options);
  if (error.code === Code.Unavailable || error.code === Code.Aborted || error.code === Code.Internal) {
    return new GuildError("unavailable", `the daemon went away: ${error.rawMessage}`, { ...options, remedy: "run the command again" });
  }
  if (error.code === Code.Unauthenticated) return new GuildError("unauthenticated", error.rawMessage, options);
  if (error.code === Code.Unimplemented) return new GuildError("unsupported", error.rawMessage, options);
  return new GuildError("internal", error.rawMessage, options);
}

async function* convert<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw fromStatus(error);
  }
}
