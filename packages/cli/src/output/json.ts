import { type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";
import { type Event, EventSchema, type Session, SessionSchema, type SessionStatus, SessionStatusSchema } from "@guildhall/protocol";

/** A line of `--json` output. Field names are those of the protocol. */
export type JsonLine = { id: string; type: string } & Record<string, unknown>;

/** `{"id": "<session>/<seq>", "type": "event", "kind": "model_replied", …}`. */
export function eventLine(session: string, event: Event): JsonLine {
  const fields = asJson(EventSchema, event);
  const kind = Object.keys(fields).find((key) => !["seq", "time", "epoch", "actor"].includes(key)) ?? "unknown";
  return { id: `${session}/${event.seq}`, type: "event", session, kind, ...fields };
}

/** `{"id": "<session>", "type": "session", "status": "done", …}`. */
export function sessionLine(session: Session): JsonLine {
  return { ...asJson(SessionSchema, session), id: session.id, type: "session", status: statusName(session.status) };
}

/** `running`, `waiting_approval`, … */
export function statusName(status: SessionStatus): string {
  return (SessionStatusSchema.value[status]?.localName ?? "unknown").toLowerCase();
}

/** A message with the protocol's field names; fields without a value are left out. */
function asJson<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Record<string, unknown> {
  return toJson(schema, message, { useProtoFieldName: true }) as Record<string, unknown>;
}
