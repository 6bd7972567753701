export type JsonSchema = Record<string, unknown>;

/** A text as a terminal of a GBNF grammar. */
export function literal(text: string): string {
  const escaped = text.replaceAll(/[\\"\u0000-\u001F\u007F]/g, (character) => {
    if (character === "\\" || character === '"') return `\\${character}`;
    return `\\x${(character.codePointAt(0) ?? 0).toString(16).padStart(2, "0")}`;
  });
  return `"${escaped}"`;
}

export function isRecord(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
