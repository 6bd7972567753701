import { GuildError } from "@guildhall/core";

/** What the output of a server or of initdb that failed means. */
export function startError(output: string, subject: string, logFile: string | undefined): GuildError {
  const line =
    output
      .split("\n")
      .findLast((text) => /FATAL|PANIC|error:/.test(text))
      ?.replace(/^.*?(FATAL|PANIC|error): */, "") ??
    output.trim().split("\n").at(-1) ??
    "";
  const cause = new GuildError("internal", output.slice(-4000));
  if (/No space left on device|Disk quota exceeded/.test(output)) {
    return new GuildError("storage_full", "no room for the database", { subject, remedy: "free some disk space there", cause });
  }
  if (/database files are incompatible|not compatible with this version/.test(output)) {
    return new GuildError("version_mismatch", `PostgreSQL cannot read the database: ${line}`, {
      subject,
      remedy: "export it with the Guildhall that made it (`guild db export`), move it away, and import it here",
      cause,
    });
  }
  if (/Permission denied|invalid permissions|wrong ownership|EACCES/.test(output)) return notOurs(subject, cause);
  if (/could not look up effective user ID/.test(output)) {
    return new GuildError("failed_precondition", "PostgreSQL cannot run as a user without a name", {
      subject: `uid ${process.getuid?.()}`,
      remedy: "add the user to /etc/passwd, or set DATABASE_URL to a PostgreSQL server",
      cause,
    });
  }
  return new GuildError("unavailable", `the database server does not start: ${line}`, {
    subject,
    remedy: logFile === undefined ? "check the folder" : `see the end of ${logFile}`,
    cause,
  });
}

export function notOurs(subject: string, cause: unknown): GuildError {
  return new GuildError("permission_denied", "the database belongs to another user or is open to others", {
    subject,
    remedy: "run guild as its owner, and keep the folder at mode 0700",
    cause,
  });
}
