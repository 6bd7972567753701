import { type Event, type EventBody, GuildError, inputKey, type SessionKey } from "@guildhall/core";

import { type EncodedEvents, numbered, slicesOf, storedKey } from "./event-codec.ts";
import { readEventsAt } from "./event-rows.ts";
import { type GroupCommitOptions, sessionNotFound } from "./group-commit.ts";
import { INPUT_KEYS, inputStatement } from "./log-statements.ts";
import { sqlState } from "./sql-error.ts";

/** Appends that need no lease, each stored once however often and from wherever it is sent. */
export class InputAppends {
  readonly #options: GroupCommitOptions;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /** `encode` may be called again when somebody else stores one of them at the same time. */
  async append(key: SessionKey, bodies: EventBody[], encode: (fresh: EventBody[]) => EncodedEvents): Promise<Event[]> {
    const names = bodies.map(nameOf);
    for (;;) {
      const known = await this.#sequences(key, names);
      const isFresh = (name: string | undefined, index: number) =>
        name === undefined || (!known.has(name) && names.indexOf(name) === index);
      const fresh = bodies.filter((_, index) => isFresh(names[index], index));
      const stored = fresh.length === 0 ? [] : await this.#store(key, encode(fresh));
      if (stored === undefined) continue;
      const earlier = await readEventsAt(this.#options.database, key, [...known.values()]);
      const byName = new Map([...earlier, ...stored].map((event) => [nameOf(event.body as EventBody), event]));
      const unnamed = stored.filter((event) => nameOf(event.body as EventBody) === undefined).values();
      return names.flatMap((name) => (name === undefined ? unnamed.next().value : byName.get(name)) ?? []);
    }
  }

  /** Sequences of those that are stored already. */
  async #sequences(key: SessionKey, names: Array<string | undefined>): Promise<Map<string, number>> {
    const wanted = names.filter((name) => name !== undefined);
    if (wanted.length === 0) return new Map();
    const values = [key.tenant, key.session, wanted];
    const query = { name: "guildhall-keys", text: INPUT_KEYS, values };
    const rows = await this.#options.database.read<{ input_key: string; seq: number }>(query);
    return new Map(rows.map((row) => [row.input_key, Number(row.seq)]));
  }

  /** Undefined when one of them was stored by somebody else meanwhile. */
  async #store(key: SessionKey, encoded: EncodedEvents): Promise<Event[] | undefined> {
    const { connection, database, origin, onStored } = this.#options;
    await connection.client();
    const values = [
      origin,
      Buffer.concat(encoded.payloads),
      key.tenant,
      key.session,
      encoded.events.length,
      encoded.turn,
      encoded.reason,
      encoded.summary,
      ...slicesOf(encoded),
      encoded.keys.map(({ nth }) => nth),
      encoded.keys.map(({ key: name }) => name),
    ];
    const query = { name: `guildhall-input-${connection.notifies}`, text: inputStatement({ notify: connection.notifies }), values };
    try {
      const [row] = await database.write<{ last_seq: number }>(query);
      if (row === undefined) throw sessionNotFound(key);
      const events = numbered(encoded.events, Number(row.last_seq) - encoded.events.length + 1);
      onStored(key, events);
      return events;
    } catch (error) {
      if (GuildError.is(error) && sqlState(error.cause) === "23505") return undefined;
      throw error;
    }
  }
}

function nameOf(body: EventBody): string | undefined {
  const name = inputKey(body);
  return name === undefined ? undefined : storedKey(name);
}
