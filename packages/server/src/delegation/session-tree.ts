import { EMPTY_SESSION, type EventLog, fold, type SessionKey, type SessionState } from "@guildhall/core";
import type { Delegation, SessionStarted } from "@guildhall/protocol";

/** Sessions that hand work to each other, with their states as far as they have been read. */
export class SessionTree {
  readonly #log: EventLog;
  readonly #states = new Map<string, SessionState>();
  /** Looked up once; who begins another tells. */
  readonly #children = new Map<string, SessionKey[]>();

  constructor(log: EventLog) {
    this.#log = log;
  }

  /** The session's state now; only what is new is read. */
  async state(key: SessionKey): Promise<SessionState> {
    let state = this.#states.get(key.session) ?? EMPTY_SESSION;
    for (;;) {
      const events = await this.#log.read(key, state.seq + 1, 500);
      for (const event of events) state = fold(state, event);
      this.#states.set(key.session, state);
      if (events.length < 500) return state;
    }
  }

  /** Sessions that this one handed work to, oldest first; what they handed on is not among them. */
  async children(key: SessionKey): Promise<readonly SessionKey[]> {
    const known = this.#children.get(key.session);
    if (known !== undefined) return known;
    const found: SessionKey[] = [];
    for (let before: string | undefined; ;) {
      const page = await this.#log.listSessions({ tenant: key.tenant, limit: 200, ...(before === undefined ? {} : { before }) });
      // Ids grow with time: nobody is older than who gave him his work.
      const younger = page.filter((record) => record.session > key.session);
      for (const record of younger) {
        if (record.parent === key.session && (await delegationOf(this.#log, record)) !== undefined) {
          found.push({ tenant: record.tenant, session: record.session });
        }
      }
      before = page.at(-1)?.session;
      if (page.length < 200 || younger.length < page.length) break;
    }
    const children = found.reverse();
    this.#children.set(key.session, children);
    return children;
  }

  /** A session has begun for another. */
  async adopt(parent: SessionKey, child: SessionKey): Promise<void> {
    const children = await this.children(parent);
    if (children.some((one) => one.session === child.session)) return;
    this.#children.set(parent.session, [...children, { tenant: child.tenant, session: child.session }]);
  }

  /** Forgets what was read of sessions that nobody works on. */
  forget(session: string): void {
    this.#states.delete(session);
  }
}

/** How a session began. */
export async function startOf(log: EventLog, key: SessionKey): Promise<SessionStarted | undefined> {
  const [first] = await log.read(key, 1, 1);
  return first?.body.case === "sessionStarted" ? first.body.value : undefined;
}

/** From whom a session has its work; undefined: from a person. */
export async function delegationOf(log: EventLog, key: SessionKey): Promise<Delegation | undefined> {
  return (await startOf(log, key))?.delegation;
}
