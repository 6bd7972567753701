import type { Database } from "./database.ts";
import type { PostgresEventLog } from "./event-log.ts";

/** Short messages between processes that share a database: whoever listens just then hears them, and nobody keeps them. */
export interface Notices {
  /**
   * Has `heard` called with what is told on a channel (lower-case letters, digits, underlines; 63 at most), one's own notices included; `connected`
   * each time that hearing begins (again): what was told before may have been missed. Neither is ever called where the database has no NOTIFY.
   * Throws `unavailable`; a connection that is lost later is made again.
   */
  hear(channel: string, heard: (payload: string) => void, connected: () => void): Promise<void>;
  /** All of them or none, in this order; a payload has fewer than 8,000 bytes. Throws `unavailable`. */
  tell(notices: readonly Notice[]): Promise<void>;
}

export interface Notice {
  channel: string;
  payload: string;
}

export function createNotices(database: Database, log: Pick<PostgresEventLog, "hear">): Notices {
  return {
    hear: (channel, heard, connected) => log.hear(channel, heard, connected),
    async tell(notices) {
      const values = [notices.map(({ channel }) => channel), notices.map(({ payload }) => payload)];
      const text = "SELECT pg_notify(n.channel, n.payload) FROM unnest($1::text[], $2::text[]) AS n(channel, payload)";
      await database.write({ name: "guildhall-tell", text, values });
    },
  };
}
