import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorCode, GuildError } from "@guildhall/core";
import { ErrorDetailSchema } from "@guildhall/protocol";

/**
 * A client whose calls and streams fail with the errors that they were on the other side. (An interceptor cannot do this: Connect turns
 * whatever it throws into a status again.)
 */
export function withGuildErrors<T extends object>(client: T): T {
  return new Proxy(client, {
    get(target, name): unknown {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return (...args: unknown[]): unknown => {
        const result: unknown = Reflect.apply(method, target, args);
        if (result instanceof Promise) {
          return result.catch((error: unknown) => {
            throw fromStatus(error);
          });
        }
        return convert(result as AsyncIterable<unknown>);
      };
    },
  });
}

/** The error that a status stands for. Without a detail of ours, the status code decides. */
export function fromStatus(error: unknown): GuildError {
  if (error instanceof GuildError) return error;
  if (!(error instanceof ConnectError)) return GuildError.from(error);
  // What went wrong on this side while requests were made, such as a file that cannot be read.
  if (error.cause instanceof GuildError) return error.cause;
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
