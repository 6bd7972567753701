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
      client.on("notification", ({ payload }) => this.#hear(payload ?? ""));
      await tune(client);
      this.notifies = this.#options.listen && (await listen(client));
      this.#options.onConnected();
      return client;
    } catch (error) {
      this.#client = undefined;
      throw storageError(error);
    }
  }

  #lost(): void {
    this.#client = undefined;
    // It tries again by itself, and never rejects while anybody wants it.
    if (!this.#closed && this.#options.wanted()) this.#reconnect().catch(() => undefined);
  }

  async #reconnect(): Promise<void> {
    while (!this.#closed && this.#client === undefined && this.#options.wanted()) {
      await sleep(RECONNECT_MS, undefined, { ref: false });
      try {
        await this.client();
      } catch {
        // Readers find out by themselves when they ask for something; until then we go on trying.
      }
    }
  }

  #hear(payload: string): void {
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

async function listen(client: Client): Promise<boolean> {
  try {
    await client.query(`LISTEN ${CHANNEL}`);
    return true;
  } catch {
    return false;
  }
}
