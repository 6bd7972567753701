import { damaged, type PortableEvent, type PortableLine, type PortableOperation, readHeader, readLine } from "./portable-copy.ts";

const LONGEST_LINE = 256 << 20;

/** Lines of a copy, one ahead. */
export class CopyReader {
  readonly #lines: AsyncGenerator<string, undefined>;
  #ahead: PortableLine | undefined;
  /** Of the line that was read last. */
  number = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#lines = splitLines(source);
  }

  async header(): Promise<void> {
    readHeader(await this.#text());
  }

  async next(): Promise<PortableLine | undefined> {
    const line = await this.#peek();
    this.#ahead = undefined;
    return line;
  }

  /** The next lines as far as they are events, at most `limit`. */
  async events(limit: number): Promise<PortableEvent[]> {
    const events: PortableEvent[] = [];
    for (let line = await this.#peek(); line?.is === "event" && events.length < limit; line = await this.#peek()) {
      events.push(line);
      this.#ahead = undefined;
    }
    return events;
  }

  /** The next lines as far as they are operations of what is known, at most `limit`. */
  async operations(limit: number): Promise<PortableOperation[]> {
    const operations: PortableOperation[] = [];
    for (let line = await this.#peek(); line?.is === "operation" && operations.length < limit; line = await this.#peek()) {
      operations.push(line);
      this.#ahead = undefined;
    }
    return operations;
  }

  /** The next lines as far as they are chunks of a blob. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    for (let line = await this.#peek(); line?.is === "chunk"; line = await this.#peek()) {
      yield Buffer.from(line.chunk, "base64");
      this.#ahead = undefined;
    }
  }

  /** Passes over the chunks of a blob; answers with its size. */
  async skipChunks(): Promise<number> {
    let size = 0;
    for await (const chunk of this.chunks()) size += chunk.length;
    return size;
  }

  async #peek(): Promise<PortableLine | undefined> {
    if (this.#ahead !== undefined) return this.#ahead;
    const text = await this.#text();
    this.#ahead = text === undefined ? undefined : readLine(text, this.number);
    return this.#ahead;
  }

  async #text(): Promise<string | undefined> {
    this.number++;
    return (await this.#lines.next()).value;
  }
}

async function* splitLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<string, undefined> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of source) {
    let rest = Buffer.from(chunk);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield Buffer.concat([...parts, rest.subarray(0, end)]).toString();
      parts = [];
      length = 0;
      rest = rest.subarray(end + 1);
    }
    if (rest.length === 0) continue;
    parts.push(rest);
    length += rest.length;
    if (length > LONGEST_LINE) throw damaged("a line has no end");
  }
  if (length > 0) yield Buffer.concat(parts).toString();
  return undefined;
}
