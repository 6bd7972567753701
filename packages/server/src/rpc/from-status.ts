import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorCode, GuildError, ModelError, type ModelFailureKind } from "@guildhall/core";
import { ErrorDetailSchema, ModelErrorDetailSchema } from "@guildhall/protocol";

/** The error that another service of ours meant by a status: what `errorInterceptor` made of it, undone. */
export function fromStatus(error: unknown, peer: string): Error {
  if (!(error instanceof ConnectError)) return GuildError.from(error);
  const [failure] = error.findDetails(ModelErrorDetailSchema);
  if (failure !== undefined) {
    const { attempts, remedy } = failure;
    return new ModelError(failure.kind as ModelFailureKind, error.rawMessage, {
      attempts,
      cause: error,
      ...(remedy === "" ? {} : { remedy }),
    });
  }
  const [detail] = error.findDetails(ErrorDetailSchema);
  if (detail !== undefined) {
    return new GuildError(detail.code as ErrorCode, error.rawMessage, {
      cause: error,
      ...(detail.subject === "" ? {} : { subject: detail.subject }),
      ...(detail.remedy === "" ? {} : { remedy: detail.remedy }),
    });
  }
  const tls = tlsFault(error);
  if (tls !== undefined) return new GuildError("permission_denied", tls.message, { subject: peer, cause: error, remedy: tls.remedy });
  // Who calls knows what he has cancelled himself: a stream that the other side closes without a status is a connection that ended.
  const hungUp = error.code === Code.Canceled && error.rawMessage.startsWith("http/2 stream closed");
  const code = hungUp ? "unavailable" : (codes[error.code] ?? "unavailable");
  const remedy = remedies[code];
  return new GuildError(code, error.rawMessage, { subject: peer, cause: error, ...(remedy === undefined ? {} : { remedy }) });
}

/** What is wrong with the other side's certificate, if that is why it cannot be spoken to. */
export function tlsFault(error: ConnectError): { message: string; remedy: string } | undefined {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
    if (code === "CERT_HAS_EXPIRED")
      return { message: "the other side's certificate has expired", remedy: "make another there: guild certs issue" };
    if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
      return {
        message: "the other side's certificate is for another host",
        remedy: "name it by a host of its certificate, or make one for this: guild certs issue NAME --host HOST",
      };
    if (/EPROTO|WRONG_VERSION|PACKET_LENGTH|UNKNOWN_PROTOCOL/.test(code))
      return { message: "the other side does not speak TLS", remedy: "give it a certificate too: guild certs issue, services.certs" };
    if (/SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_|ERR_SSL/.test(code))
      return {
        message: "the other side's certificate is not of our authority",
        remedy: "both sides need certificates of one authority: guild certs issue",
      };
  }
  return undefined;
}

/** Statuses without a detail of ours come from the transport, or from something else that listens there. */
const codes: Partial<Record<Code, ErrorCode>> = {
  [Code.Canceled]: "cancelled",
  [Code.InvalidArgument]: "invalid_argument",
  [Code.DeadlineExceeded]: "deadline_exceeded",
  [Code.NotFound]: "not_found",
  [Code.PermissionDenied]: "permission_denied",
  [Code.ResourceExhausted]: "resource_exhausted",
  [Code.Unimplemented]: "unsupported",
  [Code.Unauthenticated]: "unauthenticated",
  [Code.Internal]: "unavailable",
  [Code.Unavailable]: "unavailable",
  [Code.Unknown]: "unavailable",
};

const remedies: Partial<Record<ErrorCode, string>> = {
  unauthenticated: "give the token of that service: GUILD_SERVICES_TOKEN",
  resource_exhausted: "send less at once",
  unsupported: "that process does not run the service, or is of another version",
  unavailable: "is the service running there?",
};
