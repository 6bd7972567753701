/** How much a sandbox may ask for and move. */
export interface TrafficLimits {
  requestsPerMinute: number;
  concurrent: number;
  /** Both directions together, over the life of the proxy, bytes. */
  bytes: number;
  /** A request without any progress for so long is given up, milliseconds. */
  idleMs: number;
}

const DEFAULTS: TrafficLimits = { requestsPerMinute: 1_200, concurrent: 64, bytes: 4 * 1024 ** 3, idleMs: 60_000 };

/** Counts a proxy's traffic against its limits. */
export class TrafficMeter {
  readonly limits: TrafficLimits;
  readonly #now: () => number;
  #tokens: number;
  #refilled: number;
  #open = 0;
  #bytes = 0;

  constructor(limits: Partial<TrafficLimits> = {}, now: () => number = () => performance.now()) {
    this.limits = { ...DEFAULTS, ...limits };
    this.#now = now;
    this.#tokens = this.limits.requestsPerMinute;
    this.#refilled = now();
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a place for one request, to be given back with `done`; otherwise says why not. */
  admit(): string | undefined {
    const now = this.#now();
    const perMs = this.limits.requestsPerMinute / 60_000;
    this.#tokens = Math.min(this.limits.requestsPerMinute, this.#tokens + (now - this.#refilled) * perMs);
    this.#refilled = now;
    if (this.#bytes >= this.limits.bytes) return `the session's network volume of ${this.limits.bytes} bytes is used up`;
    if (this.#open >= this.limits.concurrent) return `more than ${this.limits.concurrent} requests at once`;
    if (this.#tokens < 1) return `more than ${this.limits.requestsPerMinute} requests a minute`;
    this.#tokens -= 1;
    this.#open += 1;
    return undefined;
  }

  done(): void {
    this.#open -= 1;
  }

  /** False once the volume is used up: stop. */
  count(bytes: number): boolean {
    this.#bytes += bytes;
    return this.#bytes <= this.limits.bytes;
  }
}
