import type { BakedLimits, PreparedSandbox } from "./prepared-sandbox.ts";

/** A taken one is replaced when its taker has had the machine to himself for so long, milliseconds. */
const REFILL_AFTER_MS = 250;

/** Prepared longer ago than this is not handed out: the machine may have changed around it. Milliseconds. */
const OLDEST_MS = 60 * 60_000;

/** Failures in a row after which preparing is given up: what does not work here will not work in a minute. */
const MOST_FAILURES = 3;

/**
 * At most `size` sandboxes that are prepared for whoever comes, all with the same limits. Hands out a ready one or none, and never waits for one;
 * prepares the next one off the way. What is in it keeps no process alive and ends with it.
 */
export class WarmPool {
  readonly #size: number;
  readonly #make: (limits: BakedLimits) => Promise<PreparedSandbox>;
  #limits: BakedLimits | undefined;
  #ready: Array<{ sandbox: PreparedSandbox; since: number }> = [];
  #filling: Promise<void> | undefined;
  #refill: NodeJS.Timeout | undefined;
  #learning: NodeJS.Timeout | undefined;
  #failures = 0;
  #closed = false;
  #taken = 0;
  /** What was asked for last and not there. */
  #asked: BakedLimits | undefined;

  constructor(size: number, make: (limits: BakedLimits) => Promise<PreparedSandbox>) {
    this.#size = size;
    this.#make = make;
  }

  /** How many have been handed out. */
  get taken(): number {
    return this.#taken;
  }

  /** Has the pool hold sandboxes with these limits from now on. Resolves when it is full, or cannot be. */
  async prepare(limits: BakedLimits): Promise<void> {
    if (this.#limits !== undefined && !same(this.#limits, limits)) await this.#empty();
    this.#limits = limits;
    while (this.#lacking()) await (this.#filling ??= this.#fill().finally(() => (this.#filling = undefined)));
  }

  /** Whether these are its limits. */
  fits(limits: BakedLimits): boolean {
    return this.#limits !== undefined && same(this.#limits, limits);
  }

  /** One with these limits, which is the taker's to use or discard; undefined: none is ready. */
  take(limits: BakedLimits): PreparedSandbox | undefined {
    if (this.#limits === undefined || !same(this.#limits, limits)) return undefined;
    const now = performance.now();
    let found: PreparedSandbox | undefined;
    for (
      let one = this.#ready.shift();
      one !== undefined && found === undefined;
      one = found === undefined ? this.#ready.shift() : undefined
    ) {
      if (one.sandbox.init.usable && now - one.since < OLDEST_MS) found = one.sandbox;
      else discard(one.sandbox);
    }
    if (found !== undefined) this.#taken += 1;
    this.#refillLater();
    return found;
  }

  /** One with these limits was asked for and not there: who asks so twice in a row finds one the third time. Resolves at once. */
  learn(limits: BakedLimits): void {
    const again = this.#asked !== undefined && same(this.#asked, limits);
    this.#asked = limits;
    if (!again || (this.#limits !== undefined && same(this.#limits, limits))) return;
    // Not put off by who goes on asking.
    this.#learning ??= setTimeout(() => {
      this.#learning = undefined;
      this.prepare(limits).catch(() => undefined); // the next one is made cold, and says what is wrong
    }, REFILL_AFTER_MS).unref();
  }

  /** Ends what is ready. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#refill);
    clearTimeout(this.#learning);
    await this.#filling;
    await this.#empty();
  }

  #lacking(): boolean {
    return !this.#closed && this.#failures < MOST_FAILURES && this.#ready.length < this.#size;
  }

  #refillLater(): void {
    clearTimeout(this.#refill);
    this.#refill = setTimeout(() => {
      const limits = this.#limits;
      if (limits !== undefined) this.prepare(limits).catch(() => undefined); // the next one is made cold, and says what is wrong
    }, REFILL_AFTER_MS);
    this.#refill.unref();
  }

  async #fill(): Promise<void> {
    const limits = this.#limits;
    if (limits === undefined) return;
    try {
      const sandbox = await this.#make(limits);
      this.#failures = 0;
      if (same(limits, this.#limits ?? limits)) this.#ready.push({ sandbox, since: performance.now() });
      else await sandbox.discard();
    } catch {
      this.#failures += 1; // whoever asks for a sandbox gets one made for him, or is told why not
    }
  }

  async #empty(): Promise<void> {
    const all = this.#ready.splice(0);
    await Promise.all(all.map(({ sandbox }) => sandbox.discard()));
  }
}

function same(one: BakedLimits, other: BakedLimits): boolean {
  return one.memoryBytes === other.memoryBytes && one.processes === other.processes && one.cpus === other.cpus && one.pure === other.pure;
}

function discard(sandbox: PreparedSandbox): void {
  sandbox.discard().catch(() => undefined); // it had ended by itself; its cgroup is swept by the next start
}
