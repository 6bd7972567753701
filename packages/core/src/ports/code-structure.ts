/** A place in a text that a structural pattern matches; offsets count UTF-16 units. */
export interface StructureMatch {
  start: number;
  end: number;
  /** Text of each meta-variable by its name, without `$`. */
  captures: Record<string, string>;
}

/** A replacement of one place of a text. */
export interface StructureEdit {
  start: number;
  end: number;
  text: string;
}

/** Search and rewriting on syntax trees. Patterns are code of the language with meta-variables: `$NAME` for one node, `$$$NAME` for any number. */
export interface CodeStructure {
  /** Names with the endings of their files, without the dot. */
  readonly languages: ReadonlyArray<{ name: string; extensions: readonly string[] }>;
  /** Matches in order, nested ones included. Throws `invalid_argument` for a pattern that is no code of the language, or an unknown language. */
  search(language: string, text: string, pattern: string): Promise<StructureMatch[]>;
  /** Edits that replace what matches, in order; of nested matches the outermost. Throws as `search`, and for a meta-variable that the pattern has not. */
  rewrite(language: string, text: string, pattern: string, replacement: string): Promise<StructureEdit[]>;
}
