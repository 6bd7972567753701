import { GuildError, type ToolResult } from "@guildhall/core";

/** Runs a call's work for so many seconds at most. What the world or the policy refused is the call's result; what fails of ours is thrown. */
export async function withinTime(
  signal: AbortSignal,
  seconds: number,
  work: (signal: AbortSignal) => Promise<ToolResult>,
): Promise<ToolResult> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(new GuildError("deadline_exceeded", `not done within ${seconds} s`)), seconds * 1000);
  try {
    return await work(AbortSignal.any([signal, over.signal]));
  } catch (error) {
    if (signal.aborted || !GuildError.is(error) || !EXPECTED.has(error.code)) throw error;
    return { status: "error", output: error.line };
  } finally {
    clearTimeout(timer);
  }
}

const EXPECTED: ReadonlySet<string> = new Set([
  "invalid_argument",
  "permission_denied",
  "failed_precondition",
  "unavailable",
  "deadline_exceeded",
  "already_exists",
  "not_found",
  "storage_full",
]);
