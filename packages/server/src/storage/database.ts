import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "@guildhall/core";
import pg, { type Client, type ClientConfig, type PoolClient, type QueryConfig, type QueryResultRow } from "pg";

import { isConnectionLoss, isSerializationFailure, storageError } from "./sql-error.ts";

const RETRY_MS = 20;
const ATTEMPTS = 10;

export interface DatabaseOptions {
  /** Resolves once the server should accept connections; called again whenever a connection cannot be had. */
  address: () => Promise<ClientConfig>;
  /** Connections for reading and for rare writes; the log's writer has one more. */
  poolSize?: number;
  /** How long to keep trying to connect before `unavailable`. */
  patienceMs?: number;
}

/** Connections to one database that come back after it was killed and started again. */
export class Database {
  readonly #options: Required<DatabaseOptions>;
  #pool: pg.Pool | undefined;
  /** Host that the pool connects to. */
  #pooled: string | undefined;
  #address: ClientConfig | undefined;
  #closed = false;

  constructor(options: DatabaseOptions) {
    this.#options = { poolSize: 4, patienceMs: 15_000, ...options };
  }

  /** Runs a statement that changes nothing: again, when the connection breaks. */
  async read<Row extends QueryResultRow>(query: QueryConfig): Promise<Row[]> {
    const deadline = performance.now() + this.#options.patienceMs;
    for (;;) {
      try {
        return await this.#run<Row>(query);
      } catch (error) {
        if (!GuildError.is(error, "unavailable") || this.#closed || performance.now() > deadline) throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  /**
   * Runs a statement as a transaction of its own. Throws `unavailable` when the connection breaks under way: it then may or may not
   * have happened. `translate` may make a known error into one of ours.
   */
  async write<Row extends QueryResultRow>(query: QueryConfig): Promise<Row[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#run<Row>(query);
      } catch (error) {
        if (!(error instanceof GuildError && isSerializationFailure(error.cause)) || attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** Lends a connection for several statements; it is closed instead of reused when `work` throws. */
  async borrow<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#checkOut();
    try {
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      client.release(true);
      throw storageError(error);
    }
  }

  /** Runs `work` between BEGIN and COMMIT; anything that it throws undoes all. */
  transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    return this.borrow(async (client) => {
      await client.query("BEGIN");
      const result = await work(client);
      await client.query("COMMIT");
      return result;
    });
  }

  /** A connection of the caller's own, who ends it. */
  async connect(config: ClientConfig = {}): Promise<Client> {
    return this.#patiently(async (address) => {
      const client = new pg.Client({ ...TIMEOUTS, ...address, ...config });
      client.on("error", ignore);
      try {
        await client.connect();
        return client;
      } catch (error) {
        await client.end().catch(ignore);
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const pool = this.#pool;
    this.#pool = undefined;
    await pool?.end();
  }

  async #run<Row extends QueryResultRow>(query: QueryConfig): Promise<Row[]> {
    const client = await this.#checkOut();
    try {
      const { rows } = await client.query<Row>(query);
      client.release();
      return rows;
    } catch (error) {
      client.release(isConnectionLoss(error));
      throw storageError(error);
    }
  }

  #checkOut(): Promise<PoolClient> {
    return this.#patiently((address) => {
      if (this.#pool === undefined || this.#pooled !== address.host) this.#replacePool(address);
      return (this.#pool as pg.Pool).connect();
    });
  }

  /** The server moved to another socket. Whoever waits in the old pool must be left to find out: ending it would let them wait for ever. */
  #replacePool(address: ClientConfig): void {
    const old = this.#pool;
    if (old !== undefined && old.waitingCount === 0) old.end().catch(ignore);
    this.#pool = new pg.Pool({ ...TIMEOUTS, ...address, max: this.#options.poolSize, idleTimeoutMillis: 60_000, allowExitOnIdle: true });
    this.#pooled = address.host;
    // A connection that breaks is dropped by the pool, and whoever was using it has an error already.
    this.#pool.on("error", ignore);
    this.#pool.on("connect", (client) => client.on("error", ignore));
  }

  async #patiently<T>(attempt: (address: ClientConfig) => Promise<T>): Promise<T> {
    const deadline = performance.now() + this.#options.patienceMs;
    for (;;) {
      if (this.#closed) throw new GuildError("unavailable", "the database was closed");
      try {
        this.#address ??= await this.#options.address();
        return await attempt(this.#address);
      } catch (error) {
        if (!isConnectionLoss(error) || performance.now() > deadline) throw storageError(error);
        this.#address = undefined;
        await sleep(RETRY_MS);
      }
    }
  }
}

const TIMEOUTS = { connectionTimeoutMillis: 10_000 };

function ignore(): void {}
