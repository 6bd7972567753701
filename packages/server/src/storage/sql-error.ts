import { GuildError } from "@guildhall/core";

/** The SQLSTATE of an error that the server sent; undefined for anything else. */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || !("severity" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** The transaction was undone for the sake of another and may be run again as it is. */
export function isSerializationFailure(error: unknown): boolean {
  const state = sqlState(error);
  return state === "40001" || state === "40P01";
}

/** The connection is gone or the server is going: what was under way may or may not have happened. */
export function isConnectionLoss(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) return state.startsWith("08") || state.startsWith("57P");
  if (!(error instanceof Error) || error instanceof GuildError) return false;
  const code = "code" in error ? error.code : undefined;
  if (typeof code === "string") return SOCKET_CODES.has(code);
  return /connection|connect$|not queryable|closed|timeout expired/i.test(error.message);
}

const SOCKET_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ENOENT",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
]);

/** What a database error means to the rest of Guildhall. */
export function storageError(error: unknown): GuildError {
  if (error instanceof GuildError) return error;
  if (isConnectionLoss(error)) {
    return new GuildError("unavailable", "the connection to the database was lost", {
      remedy: "try again; what was being stored may or may not be there",
      cause: error,
    });
  }
  const state = sqlState(error);
  const text = error instanceof Error ? error.message : String(error);
  if (state === "53100") {
    return new GuildError("storage_full", "the database has no room left", { remedy: "free some disk space where it lies", cause: error });
  }
  if (state?.startsWith("53")) {
    return new GuildError("resource_exhausted", `the database is out of resources: ${text}`, { remedy: "try again later", cause: error });
  }
  if (state?.startsWith("28")) {
    return new GuildError("unauthenticated", `the database does not let us in: ${text}`, { remedy: "check DATABASE_URL", cause: error });
  }
  if (state === "3D000") return new GuildError("not_found", text, { remedy: "create it, or check DATABASE_URL", cause: error });
  if (state === "42501") {
    return new GuildError("permission_denied", text, {
      remedy: "grant the database user the right to create and use a schema",
      cause: error,
    });
  }
  if (state === "25006") {
    return new GuildError("unavailable", "the database takes no writes", {
      remedy: "point DATABASE_URL at the primary server",
      cause: error,
    });
  }
  return new GuildError("internal", `the database reports: ${text}`, { cause: error });
}
