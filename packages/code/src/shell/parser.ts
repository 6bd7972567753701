import { createRequire } from "node:module";

import { Language, type Node, Parser } from "web-tree-sitter";

/** Parses bash; made once a process (`createShellParser`), about 40 ms. */
export interface ShellParser {
  /** Hands the tree's root to `use` and frees the tree afterwards. `broken`: the text is not valid bash. */
  parse<T>(script: string, use: (root: Node, broken: boolean) => T): T;
}

export async function createShellParser(): Promise<ShellParser> {
  const require = createRequire(import.meta.url);
  // In a bundle the package cannot find its own file.
  await Parser.init({ locateFile: () => require.resolve("web-tree-sitter/web-tree-sitter.wasm") });
  const bash = await Language.load(require.resolve("@vscode/tree-sitter-wasm/wasm/tree-sitter-bash.wasm"));
  const parser = new Parser();
  parser.setLanguage(bash);
  return {
    parse(script, use) {
      const tree = parser.parse(withoutGaps(script));
      if (tree === null) throw new TypeError("the bash grammar is not set");
      try {
        return use(tree.rootNode, tree.rootNode.hasError);
      } finally {
        tree.delete();
      }
    },
  };
}

/**
 * Two things that bash takes and the grammar does not, said in a way that both take: an escaped comparison in `[ a \< b ]` as another operator, and
 * `<>`, which opens for reading and writing, as a writing redirection.
 */
function withoutGaps(script: string): string {
  return script.replaceAll(/(?<=\s)\\[<>](?=\s)/g, "=").replaceAll(/<>(?=\s*[\w/.~$"'-])/g, ">");
}
