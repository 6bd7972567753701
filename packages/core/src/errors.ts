/**
 * Stable codes, the same on the wire (`ErrorDetail.code`) and in process. A code decides the gRPC status and the exit code;
 * see `rpc-status` in the server and `exit` in the cli.
 */
export type ErrorCode =
  | "invalid_argument"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "unauthenticated"
  | "failed_precondition"
  | "sequence_moved"
  | "lease_lost"
  | "resource_exhausted"
  | "storage_full"
  | "version_mismatch"
  | "unavailable"
  | "deadline_exceeded"
  | "cancelled"
  | "corrupt"
  | "unsupported"
  | "internal";

export interface ErrorOptions {
  /** What it happened to: a path, a session, a URL. */
  subject?: string;
  /** What a person can do next, as a sentence without its full stop. */
  remedy?: string;
  cause?: unknown;
}

/**
 * The one error class. `message` says what happened in one line; `subject` and `remedy` complete it for people.
 * It is turned into a status once, at the edge.
 */
export class GuildError extends Error {
  override readonly name = "GuildError";
  readonly code: ErrorCode;
  readonly subject: string | undefined;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.subject = options.subject;
    this.remedy = options.remedy;
  }

  /** One line for a person: what happened, to what, what to do next. */
  get line(): string {
    const subject = this.subject !== undefined && !this.message.includes(this.subject) ? ` (${this.subject})` : "";
    const remedy = this.remedy === undefined ? "" : ` — ${this.remedy}`;
    return `${this.message}${subject}${remedy}`;
  }

  static is(error: unknown, code?: ErrorCode): error is GuildError {
    return error instanceof GuildError && (code === undefined || error.code === code);
  }

  /** The error itself when it is one of ours; anything else becomes `internal` with it as the cause. */
  static from(error: unknown): GuildError {
    if (error instanceof GuildError) return error;
    return new GuildError("internal", error instanceof Error ? error.message : String(error), { cause: error });
  }
}
