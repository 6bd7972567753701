import type { EventLog, SessionKey } from "@guildhall/core";

/** Tree of a session's last checkpoint; empty: there is none. Reads from the end. */
export async function lastTree(log: EventLog, key: SessionKey): Promise<string> {
  const { lastSeq } = await log.getSession(key);
  for (let end = lastSeq; end > 0; end -= page) {
    const from = Math.max(1, end - page + 1);
    const events = await log.read(key, from, end - from + 1);
    for (const { body } of events.toReversed()) {
      if (body.case === "checkpointMade" || body.case === "sessionRewound") return body.value.tree;
    }
  }
  return "";
}

/** Tree of a session's first checkpoint; empty: there is none. */
export async function firstTree(log: EventLog, key: SessionKey): Promise<string> {
  for (let from = 1; ;) {
    const events = await log.read(key, from, page);
    for (const { body } of events) if (body.case === "checkpointMade") return body.value.tree;
    if (events.length < page) return "";
    from += events.length;
  }
}

const page = 100;
