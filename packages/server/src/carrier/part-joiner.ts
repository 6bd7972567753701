import { Code, ConnectError } from "@connectrpc/connect";

/** Messages of calls whose parts came one by one. */
export class PartJoiner {
  readonly #parts = new Map<number, { bytes: Uint8Array[]; size: number }>();
  readonly #mostBytes: number;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Returns what is wrong: the message has become too large. */
  add(call: number, part: Uint8Array): ConnectError | undefined {
    const own = this.#parts.get(call) ?? { bytes: [], size: 0 };
    this.#parts.set(call, own);
    own.bytes.push(part);
    own.size += part.length;
    if (own.size <= this.#mostBytes) return undefined;
    return new ConnectError(`a message of more than ${this.#mostBytes} bytes was sent`, Code.ResourceExhausted);
  }

  /** The message that ends with `rest`. */
  whole(call: number, rest: Uint8Array): Uint8Array {
    if (this.#parts.size === 0) return rest;
    const own = this.#parts.get(call);
    if (own === undefined) return rest;
    this.#parts.delete(call);
    return Buffer.concat([...own.bytes, rest], own.size + rest.length);
  }

  /** Nobody wants the rest. */
  drop(call: number): void {
    this.#parts.delete(call);
  }
}
