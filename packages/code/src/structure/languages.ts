import { createRequire } from "node:module";

/** A language as the parser knows it. */
export interface StructureLanguage {
  /** What callers write. */
  name: string;
  extensions: readonly string[];
  /** The parser's own name for it; dynamic languages are loaded from the package `@ast-grep/lang-<name>`. */
  parser: string;
  dynamic: boolean;
  /** Code in which a pattern is read when it means something else alone; `§` is the pattern. */
  context?: string;
}

const builtIn = (name: string, parser: string, ...extensions: string[]): StructureLanguage => ({
  name,
  parser,
  extensions,
  dynamic: false,
});
const loaded = (name: string, extensions: string[], context?: string): StructureLanguage => ({
  name,
  parser: name,
  extensions,
  dynamic: true,
  ...(context === undefined ? {} : { context }),
});

export const LANGUAGES: readonly StructureLanguage[] = [
  builtIn("typescript", "TypeScript", "ts", "mts", "cts"),
  builtIn("tsx", "Tsx", "tsx"),
  builtIn("javascript", "JavaScript", "js", "mjs", "cjs", "jsx"),
  builtIn("html", "Html", "html", "htm"),
  builtIn("css", "Css", "css"),
  loaded("python", ["py", "pyi"]),
  loaded("go", ["go"], "package p\nfunc f() {\n§\n}"),
  loaded("rust", ["rs"]),
  loaded("java", ["java"]),
  loaded("c", ["c", "h"], "void f() {\n§;\n}"),
  loaded("cpp", ["cc", "cpp", "cxx", "hh", "hpp", "hxx"], "void f() {\n§;\n}"),
  loaded("json", ["json"]),
  loaded("yaml", ["yaml", "yml"]),
];

/** What the parser needs to know of a dynamic language; its packages bring prebuilt parsers, so that nothing is compiled. */
export interface DynamicLanguage {
  libraryPath: string;
  extensions: string[];
  languageSymbol?: string;
  metaVarChar?: string;
  expandoChar?: string;
}

export function dynamicLanguages(): Record<string, DynamicLanguage> {
  const require = createRequire(import.meta.url);
  const all = LANGUAGES.filter(({ dynamic }) => dynamic).map(({ name }) => [name, require(`@ast-grep/lang-${name}`) as DynamicLanguage]);
  return Object.fromEntries(all) as Record<string, DynamicLanguage>;
}
