/** A program through which a server works, and without which what it answers would look like “none”. */
export interface ServerNeed {
  program: string;
  /** Operations of the tool `lsp` that need it; undefined: all do, and the server is not started. */
  operations?: readonly string[];
  /** How a person gets it. */
  remedy: string;
}

/** A language server that Guildhall knows how to run. */
export interface ServerKind {
  /** `typescript`, `python`, … */
  name: string;
  /** Extensions with their language id of the protocol. */
  extensions: Readonly<Record<string, string>>;
  /** Command lines, the best first; the first whose program is there is taken. */
  commands: ReadonlyArray<readonly [string, ...string[]]>;
  /** How a person gets it. */
  remedy: string;
  settings?: Readonly<Record<string, unknown>>;
  needs?: readonly ServerNeed[];
  /** Where in a home directory the language's packages get installed, if not in the project: where that is there, no other sandbox sees the same. */
  homes?: readonly string[];
}

const script = {
  ts: "typescript",
  tsx: "typescriptreact",
  mts: "typescript",
  cts: "typescript",
  js: "javascript",
  jsx: "javascriptreact",
  mjs: "javascript",
  cjs: "javascript",
};
const cpp = { c: "c", h: "c", cc: "cpp", cpp: "cpp", cxx: "cpp", hpp: "cpp", hh: "cpp", m: "objective-c" };

/** They format where they are told that nobody else does. */
const FORMATS = { provideFormatter: true };

/** In the order in which they are tried for a file. */
export const serverKinds: readonly ServerKind[] = [
  {
    name: "typescript",
    extensions: script,
    commands: [
      ["tsc-native", "--lsp", "--stdio"],
      ["tsgo", "--lsp", "--stdio"],
    ],
    remedy: "install TypeScript 7 in the project: npm install --save-dev typescript",
  },
  {
    name: "python",
    extensions: { py: "python", pyi: "python" },
    commands: [["pyright-langserver", "--stdio"], ["basedpyright-langserver", "--stdio"], ["pylsp"]],
    remedy: "npm install --global pyright",
    homes: [".local/lib", ".cache/pypoetry/virtualenvs", ".local/share/virtualenvs"],
  },
  {
    name: "go",
    extensions: { go: "go" },
    commands: [["gopls"]],
    remedy: "go install golang.org/x/tools/gopls@latest",
    needs: [{ program: "go", remedy: "install Go in the environment" }],
    homes: ["go/pkg/mod"],
  },
  {
    name: "rust",
    extensions: { rs: "rust" },
    commands: [["rust-analyzer"]],
    remedy: "rustup component add rust-analyzer",
    needs: [{ program: "cargo", remedy: "install Rust in the environment" }],
    homes: [".cargo/registry"],
  },
  {
    name: "c",
    extensions: cpp,
    // Debian has them by their release, too.
    commands: ["clangd", "clangd-19", "clangd-16", "clangd-14"].map((program): [string, string] => [program, "--background-index=false"]),
    remedy: "Debian: apt-get install clangd",
  },
  {
    name: "bash",
    extensions: { sh: "shellscript", bash: "shellscript" },
    commands: [["bash-language-server", "start"]],
    remedy: "npm install --global bash-language-server",
    needs: [
      { program: "shellcheck", operations: ["diagnostics", "code_actions"], remedy: "Debian: apt-get install shellcheck" },
      { program: "shfmt", operations: ["format"], remedy: "Debian: apt-get install shfmt" },
    ],
  },
  {
    name: "yaml",
    extensions: { yaml: "yaml", yml: "yaml" },
    commands: [["yaml-language-server", "--stdio"]],
    remedy: "npm install --global yaml-language-server",
  },
  {
    name: "json",
    extensions: { json: "json", jsonc: "jsonc" },
    commands: [
      ["vscode-json-language-server", "--stdio"],
      ["vscode-json-languageserver", "--stdio"],
    ],
    remedy: "npm install --global vscode-langservers-extracted",
    settings: FORMATS,
  },
  {
    name: "css",
    extensions: { css: "css", scss: "scss", less: "less" },
    commands: [["vscode-css-language-server", "--stdio"]],
    remedy: "npm install --global vscode-langservers-extracted",
    settings: FORMATS,
  },
  {
    name: "html",
    extensions: { html: "html", htm: "html" },
    commands: [["vscode-html-language-server", "--stdio"]],
    remedy: "npm install --global vscode-langservers-extracted",
    settings: FORMATS,
  },
];

/** Kinds of the settings (`zig .zig .zon = zls --stdio`), before those that are known; one of the same name stands in its place. */
export function withConfigured(configured: readonly string[]): readonly ServerKind[] {
  const own = configured.map((text): ServerKind => {
    const [head, command] = [text.slice(0, text.indexOf(" = ")), text.slice(text.indexOf(" = ") + 3)];
    const [name = "", ...extensions] = head.split(" ");
    const [program = "", ...args] = command.trim().split(/\s+/);
    return {
      name,
      extensions: Object.fromEntries(extensions.map((extension) => [extension.slice(1).toLowerCase(), name])),
      commands: [[program, ...args]],
      remedy: `environment.language_servers names ${program}: install it in the environment`,
    };
  });
  return [...own, ...serverKinds.filter(({ name }) => own.every((one) => one.name !== name))];
}

/** The kind for a file and its language id; undefined: none is known. */
export function kindOf(path: string, kinds: readonly ServerKind[] = serverKinds): { kind: ServerKind; languageId: string } | undefined {
  const extension = path.slice(path.lastIndexOf(".") + 1).toLowerCase();
  for (const kind of kinds) {
    const languageId = Object.hasOwn(kind.extensions, extension) ? kind.extensions[extension] : undefined;
    if (languageId !== undefined) return { kind, languageId };
  }
  return undefined;
}
