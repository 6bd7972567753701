/** What comes on the kept shell's terminal, taken apart: output, and the marks between. */
export type TerminalPart = { kind: "bytes"; bytes: Uint8Array } | { kind: "start" | "end"; number: number };

/** Finds the marks of one shell in its terminal's bytes, in whatever pieces they come. */
export class MarkSplitter {
  readonly #prefix: Buffer;
  #rest: Buffer = Buffer.alloc(0);

  constructor(mark: string) {
    this.#prefix = Buffer.from(`\x1b]gh;${mark};`);
  }

  push(bytes: Uint8Array): TerminalPart[] {
    const parts: TerminalPart[] = [];
    let data = this.#rest.length === 0 ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) : Buffer.concat([this.#rest, bytes]);
    this.#rest = Buffer.alloc(0);
    while (data.length > 0) {
      const at = data.indexOf(this.#prefix);
      if (at < 0) {
        const held = this.#beginningAtEnd(data);
        this.#add(parts, data.subarray(0, data.length - held));
        this.#rest = Buffer.from(data.subarray(data.length - held));
        break;
      }
      const end = data.indexOf(7, at);
      this.#add(parts, data.subarray(0, at));
      if (end < 0) {
        this.#rest = Buffer.from(data.subarray(at));
        break;
      }
      const [kind, number] = data.toString("latin1", at + this.#prefix.length, end).split(";");
      parts.push({ kind: kind === "s" ? "start" : "end", number: Number(number) });
      data = data.subarray(end + 1);
    }
    return parts;
  }

  #add(parts: TerminalPart[], bytes: Uint8Array): void {
    if (bytes.length > 0) parts.push({ kind: "bytes", bytes });
  }

  /** How many of the last bytes may be the beginning of a mark. */
  #beginningAtEnd(data: Buffer): number {
    const at = data.lastIndexOf(0x1b);
    const length = data.length - at;
    if (at < 0 || length >= this.#prefix.length) return 0;
    return data.subarray(at).equals(this.#prefix.subarray(0, length)) ? length : 0;
  }
}
