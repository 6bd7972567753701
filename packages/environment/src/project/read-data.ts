import { parse as parseToml } from "smol-toml";

import type { ProjectDirectory } from "./detector.ts";

/** What a file holds, as plain data of which nothing is known; reading any key is safe. */
export class Data {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }

  /** What stands under these keys; of nothing, nothing. */
  at(...keys: string[]): Data {
    let value = this.value;
    for (const key of keys) {
      value =
        typeof value === "object" && value !== null && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
    }
    return new Data(value);
  }

  get text(): string | undefined {
    return typeof this.value === "string" ? this.value : typeof this.value === "number" ? String(this.value) : undefined;
  }

  get present(): boolean {
    return this.value !== undefined;
  }

  /** Elements of a list; of anything else, none. */
  get items(): Data[] {
    return Array.isArray(this.value) ? this.value.map((item) => new Data(item)) : [];
  }

  /** Keys and values of a table; of anything else, none. */
  get entries(): Array<[string, Data]> {
    if (typeof this.value !== "object" || this.value === null || Array.isArray(this.value)) return [];
    return Object.entries(this.value).map(([key, value]) => [key, new Data(value)]);
  }

  get keys(): string[] {
    return this.entries.map(([key]) => key);
  }

  /** Those entries whose value is text. */
  get texts(): Record<string, string> {
    return Object.fromEntries(this.entries.flatMap(([key, value]) => (typeof value.value === "string" ? [[key, value.value]] : [])));
  }
}

const readers = {
  json: async (text: string): Promise<unknown> => JSON.parse(withoutComments(text)),
  toml: async (text: string): Promise<unknown> => parseToml(text),
  // Loaded when a project has such a file.
  yaml: async (text: string): Promise<unknown> => (await import("yaml")).parse(text, { maxAliasCount: 100 }),
};

/** A file of a directory as data; what cannot be understood is remembered as a problem and is empty. */
export async function readData(directory: ProjectDirectory, name: string, format: keyof typeof readers): Promise<Data> {
  const text = directory.names.has(name) ? await directory.read(name) : undefined;
  if (text === undefined) return new Data(undefined);
  try {
    return new Data(await readers[format](text));
  } catch (error) {
    const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    directory.problem(name, line);
    return new Data(undefined);
  }
}

/** JSON with comments and trailing commas, as tools write it for people; strings stay as they are. */
export function withoutComments(text: string): string {
  return text
    .replaceAll(/("(?:[^"\\]|\\.)*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (_, string: string | undefined) => string ?? " ")
    .replaceAll(/("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])/g, (_, string: string | undefined) => string ?? "");
}
