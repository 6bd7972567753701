/** Names of files that programs of a person run or obey wherever they lie: package managers, shells, editors, credentials. */
const FILES: ReadonlySet<string> = new Set([
  ".npmrc",
  ".yarnrc",
  ".yarnrc.yml",
  ".pnpmfile.cjs",
  ".pnpmfile.mjs",
  "pnpmfile.js",
  ".bunfig.toml",
  "bunfig.toml",
  "pip.conf",
  "pip.ini",
  ".pre-commit-config.yaml",
  ".pypirc",
  ".condarc",
  ".gemrc",
  ".netrc",
  ".bashrc",
  ".bash_profile",
  ".bash_login",
  ".bash_logout",
  ".bash_aliases",
  ".cshrc",
  ".tcshrc",
  ".kshrc",
  ".profile",
  ".zshrc",
  ".zshenv",
  ".zprofile",
  ".zlogin",
  ".envrc",
  ".gitconfig",
  ".exrc",
  ".vimrc",
  ".nvimrc",
  ".nvim.lua",
  ".dir-locals.el",
  ".dir-locals-2.el",
  ".emacs",
  ".mcp.json",
  "lefthook.yml",
  ".lefthook.yml",
]);

/** Directories all of which is so. */
const DIRECTORIES: ReadonlySet<string> = new Set([".guildhall", ".vscode", ".idea", ".fleet", ".zed", ".cursor", ".husky", ".ssh", ".mvn"]);

/** Files by the directory that they lie in. */
const PLACES: ReadonlySet<string> = new Set([
  ".cargo/config",
  ".cargo/config.toml",
  ".bundle/config",
  ".config/pip",
  ".config/git",
  ".config/fish",
  ".yarn/releases",
  ".yarn/plugins",
  ".claude/settings.json",
]);

/**
 * The part of a path (relative, to a file or directory) that is protected: a file that makes programs of the person's own run something, or
 * a directory of such. Undefined: none.
 */
export function protectedPart(path: string): string | undefined {
  const parts = path.split("/");
  for (const [index, name] of parts.entries()) {
    const upTo = parts.slice(0, index + 1).join("/");
    if (DIRECTORIES.has(name)) return upTo;
    if (index > 0 && PLACES.has(`${parts[index - 1]}/${name}`)) return upTo;
  }
  const last = parts.at(-1) ?? "";
  return FILES.has(last) || last.endsWith(".code-workspace") ? path : undefined;
}

/** Whether a link of this name would make what it leads to protected: the files in it are so by the directory that they lie in. */
export function isProtectedAsLink(path: string): boolean {
  return PLACED_IN.has(path.split("/").at(-1) ?? "");
}

const PLACED_IN: ReadonlySet<string> = new Set([...PLACES].map((place) => place.split("/")[0] ?? ""));

/** Whether one of the paths is this one, or a directory above it. */
export function isBelow(path: string, places: readonly string[]): boolean {
  return places.some((place) => path === place || path.startsWith(`${place.replace(/\/+$/, "")}/`));
}
