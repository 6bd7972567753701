import { setTimeout as sleep } from "node:timers/promises";

import type { SessionKey } from "@guildhall/core";
import type { Client } from "pg";

import type { Database } from "./database.ts";
import { CHANNEL } from "./log-statements.ts";
import { storageError } from "./sql-error.ts";

const RECONNECT_MS = 100;

export interface LogConnectionOptions {
  database: Database;
  /** Marks this opener's notices, which it does not need to hear. */
  origin: string;
  /** Another opener appended. */
  onNotice: (key: SessionKey, lastSeq: number) => void;
  /** Notices may have been missed. */
  onConnected: () => void;
  /** False: as on a database without LISTEN. */
  listen: boolean;
  /** Whether somebody waits for notices, so that a lost connection is made again at once. */
  wanted: () => boolean;
}

/** The one connection through which a process appends and hears of what others append. */
export class LogConnection {
  readonly #options: LogConnectionOptions;
  #client: Promise<Client> | undefined;
  #closed = false;
  /** What else is heard on this connection, by channel. */
  readonly #others = new Map<string, { heard(payload: string): void; connected(): void }>();
  /** False on a database without LISTEN; known once connected. */
  notifies = true;

  constructor(options: LogConnectionOptions) {
    this.#options = options;
  }

  /** Connects if need be. Throws `unavailable`. */
  client(): Promise<Client> {
    this.#client ??= this.#connect();
    return this.#client;
  }

  /**
   * From now on `heard` is called with what is told on a channel, over every connection to come; `connected` each time that this begins (again), since
   * nothing that was told before was heard. Neither is ever called on a database without LISTEN. Throws `unavailable`.
   */
  async hear(channel: string, heard: (payload: string) => void, connected: () => void): Promise<void> {
    const known = this.#client;
    this.#others.set(channel, { heard, connected });
    const client = await this.client();
    // A connection that is made now does it.
    if (known !== undefined && this.notifies && (await listen(client, channel))) connected();
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = this.#client;
    this.#client = undefined;
    if (client === undefined) return;
    try {
      await (await client).end();
    } catch {
      // It was broken already, which is as closed as it gets.
    }
  }

  async #connect(): Promise<Client> {
    try {
      const client = await this.#options.database.connect();
      client.once("end", () => this.#lost());
      client.on("notification", ({ channel, payload }) => this.#hear(channel, payload ?? ""));
      await tune(client);
      this.notifies = this.#options.listen && (await listen(client, CHANNEL));
      this.#options.onConnected();
      if (this.notifies) for (const [channel, { connected }] of this.#others) if (await listen(client, channel)) connected();
      return client;
    } catch (error) {
      this.#client = undefined;
      throw storageError(error);
    }
  }

  #lost(): void {
    this.#client = undefined;
    // It tries again by itself, and never rejects while anybody wants it.
    if (this.#wanted) this.#reconnect().catch(() => undefined);
  }

  get #wanted(): boolean {
    return !this.#closed && (this.#others.size > 0 || this.#options.wanted());
  }

  async #reconnect(): Promise<void> {
    while (this.#wanted && this.#client === undefined) {
      await sleep(RECONNECT_MS, undefined, { ref: false });
      try {
        await this.client();
      } catch {
        // Readers find out by themselves when they ask for something; until then we go on trying.
      }
    }
  }

  #hear(channel: string, payload: string): void {
    if (channel !== CHANNEL) return this.#others.get(channel)?.heard(payload);
    const [origin, tenant, session, seq] = payload.split("\n");
    if (origin === this.#options.origin || tenant === undefined || session === undefined) return;
    this.#options.onNotice({ tenant, session }, Number(seq));
  }
}

/** Plans are made once and by index: batches differ only in size, and planning would cost more than running. */
async function tune(client: Client): Promise<void> {
  for (const setting of ["plan_cache_mode = force_generic_plan", "enable_seqscan = off"]) {
    try {
      await client.query(`SET ${setting}`);
    } catch {
      // A database of another kind plans in its own way.
    }
  }
}

async function listen(client: Client, channel: string): Promise<boolean> {
  try {
    await client.query(`LISTEN ${channel}`);
    return true;
  } catch {
    return false;
  }
}
