import { Duplex } from "node:stream";
import { callbackify } from "node:util";

import type { Sandbox } from "@guildhall/core";

/** A connection to a port of the sandbox's loopback as a stream, for Node's protocol clients. Throws what `connect` throws. */
export async function openSandboxStream(sandbox: Sandbox, port: number): Promise<Duplex> {
  return new SandboxStream(await sandbox.connect(port));
}

class SandboxStream extends Duplex {
  readonly #connection: Awaited<ReturnType<Sandbox["connect"]>>;
  readonly #source: AsyncIterator<Uint8Array>;
  #reading = false;

  constructor(connection: Awaited<ReturnType<Sandbox["connect"]>>) {
    super({ allowHalfOpen: true });
    this.#connection = connection;
    this.#source = connection.readable[Symbol.asyncIterator]();
  }

  /** Protocol clients set them on sockets; there is nothing to set here. */
  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  override _read(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#source.next().then(
      ({ done, value }) => {
        this.#reading = false;
        if (done === true) this.push(null);
        else this.push(value);
      },
      (error: unknown) => this.destroy(error instanceof Error ? error : undefined),
    );
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    callbackify(() => this.#connection.write(chunk))(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // One that is gone already is what was wanted.
    const closed = this.#connection.close().catch(() => undefined);
    callbackify(() => closed)(() => done(error));
  }
}
