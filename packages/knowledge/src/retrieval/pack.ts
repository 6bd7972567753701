/** A found piece on its way to the prompt. */
export interface Recalled {
  id: string;
  text: string;
  /** Where it comes from, for a person and the model: `message 12`, `src/a.ts:10`. */
  source: string;
  /** Milliseconds since the epoch. */
  at?: number;
}

export interface Packed<T extends Recalled> {
  /** Ready for a prompt; empty when nothing fitted. */
  text: string;
  items: T[];
  tokens: number;
}

/** Tokens of a text, estimated: four bytes each, as the common tokenizers average on English and code. Never below one for something. */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 4);
}

const SHORTEST = 160;

/**
 * Puts pieces, most relevant first, into a budget: a piece that does not fit is shortened if a useful part remains, else passed over for smaller ones. Each
 * piece says where it comes from, so that the reader can check it. The result never exceeds `budget` tokens by `estimate`.
 */
export function pack<T extends Recalled>(
  pieces: readonly T[],
  budget: number,
  estimate: (text: string) => number = estimateTokens,
): Packed<T> {
  const lines: string[] = [];
  const items: T[] = [];
  const cost = (more: string): number => estimate([...lines, more].join("\n"));
  for (const piece of pieces) {
    const line = entry(piece, piece.text);
    if (cost(line) <= budget) {
      lines.push(line);
      items.push(piece);
      continue;
    }
    let length = piece.text.length;
    while (length > SHORTEST && cost(entry(piece, shorten(piece.text, length))) > budget) length = Math.floor(length * 0.7);
    const short = entry(piece, shorten(piece.text, length));
    if (length < SHORTEST || cost(short) > budget) continue;
    lines.push(short);
    items.push(piece);
  }
  const text = lines.join("\n");
  return { text, items, tokens: text === "" ? 0 : estimate(text) };
}

function entry(piece: Recalled, text: string): string {
  return `- [${piece.id}, ${piece.source}] ${text.replaceAll(/\s*\n\s*/g, "\n  ").trim()}`;
}

function shorten(text: string, length: number): string {
  if (text.length <= length) return text;
  const cut = text.slice(0, length);
  const space = cut.search(/\s\S*$/);
  return `${(space > length * 0.6 ? cut.slice(0, space) : cut).toWellFormed()} …`;
}
