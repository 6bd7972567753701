import { GuildError } from "@guildhall/core";
import { z } from "zod";

/**
 * The portable copy of a database: JSON lines, readable without Guildhall and independent of the database that they came from.
 *
 * A header; then each session followed by its events; then each blob followed by its chunks; then what is known (since format 2): its operations, as
 * guildhall.v1.Operation messages in base64, and what the border did; then the counts, whose absence tells a copy that was cut off. Events are guildhall.v1.Event messages without their sequence, in base64, exactly as they are stored, so that
 * what a newer version wrote is kept. Leases are not copied.
 */
export const PORTABLE_FORMAT = 2;

const count = z.number().int().min(0);

const header = z.object({ guildhall: z.literal("export"), format: z.number().int().min(1), created: z.string() });

const session = z.object({
  tenant: z.string(),
  session: z.string(),
  title: z.string(),
  workspace: z.string(),
  parent: z.string().nullable(),
  requestId: z.string().nullable(),
  /** As the database writes times: with microseconds, on which the order of sessions rests. */
  created: z.string(),
  updated: z.string(),
  lastSeq: count,
  epoch: count,
  turnOpen: z.boolean(),
  turnEnd: z.object({ reason: z.number().int(), summary: z.string() }).nullable(),
});

const lines = {
  session: z.object({ session }),
  event: z.object({ event: z.number().int().min(1), data: z.base64(), key: z.string().optional() }),
  blob: z.object({ blob: z.string(), size: count }),
  chunk: z.object({ chunk: z.base64() }),
  operation: z.object({ operation: z.base64(), tenant: z.string() }),
  crossing: z.object({
    crossing: z.string(),
    tenant: z.string(),
    at: z.string(),
    session: z.string(),
    outcome: z.string(),
    reasons: z.string(),
  }),
  end: z.object({
    end: z.object({ sessions: count, events: count, blobs: count, operations: count.default(0), crossings: count.default(0) }),
  }),
};

export type PortableSession = z.infer<typeof session>;
export type PortableEvent = z.infer<typeof lines.event>;

export type PortableOperation = z.infer<typeof lines.operation>;
export type PortableCrossing = z.infer<typeof lines.crossing>;

export type PortableLine =
  | { is: "session"; session: PortableSession }
  | ({ is: "event" } & PortableEvent)
  | { is: "blob"; blob: string; size: number }
  | { is: "chunk"; chunk: string }
  | ({ is: "operation" } & PortableOperation)
  | ({ is: "crossing" } & PortableCrossing)
  | { is: "end"; end: { sessions: number; events: number; blobs: number; operations: number; crossings: number } };

/** Reads the header. Throws `invalid_argument` for anything else and `version_mismatch` for the copy of a newer Guildhall. */
export function readHeader(text: string | undefined): void {
  const parsed = header.safeParse(parseJson(text ?? ""));
  if (!parsed.success) {
    throw new GuildError("invalid_argument", "this is no copy of a Guildhall database", {
      remedy: "give a file that `guild db export` wrote",
    });
  }
  if (parsed.data.format > PORTABLE_FORMAT) {
    throw new GuildError("version_mismatch", `the copy is of format ${parsed.data.format}, this Guildhall reads up to ${PORTABLE_FORMAT}`, {
      remedy: "use the newer Guildhall that wrote it",
    });
  }
}

/** Reads any other line. Throws `corrupt`. */
export function readLine(text: string, number: number): PortableLine {
  const value = parseJson(text);
  const is = KINDS.find((kind) => typeof value === "object" && value !== null && kind in value);
  const parsed = is === undefined ? undefined : lines[is].safeParse(value);
  if (is === undefined || parsed?.success !== true) throw damaged(`line ${number} says nothing that is known`);
  return { is, ...parsed.data } as PortableLine;
}

/** An error about a copy that cannot be what was exported. */
export function damaged(what: string): GuildError {
  return new GuildError("corrupt", `the copy is damaged: ${what}`, { remedy: "export again, or copy the file again" });
}

// A line is told by its first name: that of a session, for one, is part of what the border did too.
const KINDS = ["event", "chunk", "operation", "crossing", "session", "blob", "end"] as const;

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No line of ours, as the caller will see.
    return undefined;
  }
}
