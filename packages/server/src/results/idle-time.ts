import { GuildError, type Sandbox } from "@guildhall/core";

export interface IdleTimeOptions {
  sandbox: Sandbox;
  /** Wall clock, milliseconds: what times of files are compared with. */
  now(): number;
}

/** What was changed within, by the file's own time (milliseconds), was changed by somebody outside. */
export interface IdleWindow {
  from: number;
  to: number;
}

/**
 * Tells what a person has changed between the turns of a session, while its sandbox stood by, from what the agent's own processes may have
 * changed: when nothing inside has run, it was not they. A workspace has no other witness, since both write as the same user.
 */
export class IdleTime {
  readonly #options: IdleTimeOptions;
  /** Undefined: a turn is under way. */
  #rest: Moment | undefined;
  /** What was done inside before the workspace was looked at last; undefined: not known, as in the middle of a turn, where to ask would cost every step. */
  #looked: string | undefined;
  /** The turn that is under way comes after it, and nobody has looked since. */
  #idle: { from: Moment; to: Moment } | undefined;

  constructor(options: IdleTimeOptions) {
    this.#options = options;
  }

  /** A turn is over. */
  async rest(): Promise<void> {
    this.#rest = await this.#moment();
  }

  /** The next begins, and nothing has been done for it yet. */
  async resume(): Promise<void> {
    if (this.#rest !== undefined) this.#idle = { from: this.#rest, to: await this.#moment() };
    this.#rest = undefined;
  }

  /** The agent's processes may have changed something since the last look. */
  async mayHaveWritten(): Promise<boolean> {
    return this.#looked === undefined || this.#looked !== (await this.#moment()).activity;
  }

  /** Before the workspace is looked at. Returns when, since the last look, what came was not the agent's; undefined: it may all be. */
  async look(): Promise<IdleWindow | undefined> {
    const before = this.#looked;
    this.#looked = undefined;
    if (this.#rest === undefined && this.#idle === undefined) return undefined;
    const now = await this.#moment();
    const idle = this.#rest === undefined ? this.#idle : { from: this.#rest, to: now };
    this.#looked = now.activity;
    this.#idle = undefined;
    if (this.#rest !== undefined) this.#rest = now;
    const quiet = idle?.from.activity;
    if (idle === undefined || quiet === undefined || quiet !== idle.to.activity) return undefined;
    return {
      from: quiet === before ? -Infinity : idle.from.at,
      to: quiet === now.activity ? Infinity : idle.to.at - CLOCK_TICK_MS,
    };
  }

  async #moment(): Promise<Moment> {
    try {
      const { activity } = await this.#options.sandbox.usage();
      return { activity, at: this.#options.now() };
    } catch (error) {
      // It has ended: then it does nothing any more, but may have done.
      if (GuildError.is(error)) return { activity: undefined, at: this.#options.now() };
      throw error;
    }
  }
}

/** `activity` as `SandboxUsage` has it. */
interface Moment {
  activity: string | undefined;
  at: number;
}

/** The kernel writes times of files by a clock that ticks. */
const CLOCK_TICK_MS = 20;
