import { type ErrorCode, GuildError } from "../errors.ts";
import type { FaultPoints } from "../ports/clock.ts";

/** What is to happen when a point is reached. */
export interface Fault {
  /** Name of the point, or `*` for any. */
  point: string;
  /** At which hit: 1 for the first. */
  at: number;
  /** `kill` ends the process as `kill -9` would; a code is thrown as a GuildError. */
  effect: "kill" | ErrorCode;
}

/** Fault points that do as they are told, once each, and count. */
export class ProgrammedFaults implements FaultPoints {
  readonly #faults: readonly Fault[];
  readonly #hits = new Map<string, number>();
  readonly #kill: () => void;

  /** `kill` stands in for the end of the process. */
  constructor(faults: readonly Fault[] = [], options: { kill?: () => void } = {}) {
    this.#faults = faults;
    this.#kill = options.kill ?? (() => process.kill(process.pid, "SIGKILL"));
  }

  /** Hits of each point so far, in the order of their first; those of all together under `*`. */
  get hits(): ReadonlyMap<string, number> {
    return this.#hits;
  }

  /** Synchronous, so that nothing can happen between a point and its fault. */
  hit(name: string): void {
    const due = [this.#count(name), this.#count("*")].find((fault) => fault !== undefined);
    if (due === undefined) return;
    if (due.effect === "kill") this.#kill();
    else throw new GuildError(due.effect, `the fault asked for at ${name}`, { subject: `${due.point}@${due.at}` });
  }

  #count(point: string): Fault | undefined {
    const count = (this.#hits.get(point) ?? 0) + 1;
    this.#hits.set(point, count);
    return this.#faults.find((fault) => fault.point === point && fault.at === count);
  }
}

/**
 * Faults as text, as the environment of a process carries it: `commit:after@3=kill,blob:before@1=storage_full`. Throws
 * `invalid_argument`.
 */
export function parseFaults(text: string): Fault[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map((part) => {
      const [, point, at, effect] = /^([^@=]+)@([1-9]\d*)=(\w+)$/.exec(part) ?? [];
      if (point === undefined || (effect !== "kill" && !isErrorCode(effect))) {
        throw new GuildError("invalid_argument", `not a fault: ${part}`, {
          remedy: "write point@hit=kill, or an error code in place of kill",
        });
      }
      return { point, at: Number(at), effect };
    });
}

function isErrorCode(text: string | undefined): text is ErrorCode {
  return text !== undefined && Object.hasOwn(CODES, text);
}

/** Every code, so that the compiler tells when one is missing here. */
const CODES: Record<ErrorCode, true> = {
  invalid_argument: true,
  not_found: true,
  already_exists: true,
  permission_denied: true,
  unauthenticated: true,
  failed_precondition: true,
  sequence_moved: true,
  lease_lost: true,
  resource_exhausted: true,
  storage_full: true,
  version_mismatch: true,
  unavailable: true,
  deadline_exceeded: true,
  cancelled: true,
  corrupt: true,
  unsupported: true,
  internal: true,
};
