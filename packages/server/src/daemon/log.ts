import { GuildError } from "@guildhall/core";

/** The daemon's own log: one line an event, for the person who looks for a fault. */
export interface Log {
  info(text: string): void;
  warn(text: string): void;
  /** The whole chain of causes, stacks included. */
  error(text: string, error: unknown): void;
}

/** Writes lines `<time> <level> <text>` through `write`. */
export function createLog(write: (line: string) => void): Log {
  const line = (level: string, text: string): void => write(`${new Date().toISOString()} ${level} ${text}\n`);
  return {
    info: (text) => line("info", text),
    warn: (text) => line("warn", text),
    error: (text, error) => line("error", `${text}: ${describe(error)}`),
  };
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = GuildError.is(error) ? `${error.code}: ${error.line}` : (error.stack ?? error.message);
  return error.cause === undefined ? own : `${own}\n  caused by ${describe(error.cause)}`;
}
