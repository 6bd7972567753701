import { posix } from "node:path";

import type { Sandbox } from "@guildhall/core";

/**
 * Files below `root` that can hold a match: of the language, not ignored, and with the longest word of the pattern in them, so that
 * only those are parsed. Absolute paths, in order; links are not followed.
 */
export async function candidateFiles(
  sandbox: Sandbox,
  rg: string,
  root: string,
  language: { extensions: readonly string[] },
  pattern: string,
  signal: AbortSignal,
): Promise<string[]> {
  const word = longestWord(pattern);
  const what = word === undefined ? ["--files"] : ["--files-with-matches", "--fixed-strings", `--regexp=${word}`];
  const globs = language.extensions.map((extension) => `--glob=*.${extension}`);
  const execution = await sandbox.exec(
    {
      argv: [
        rg,
        "--no-config",
        "--color=never",
        "--hidden",
        "--sort=path",
        "--no-messages",
        "--null",
        ...what,
        ...globs,
        "--glob=!.git",
        "--",
        ".",
      ],
      cwd: root,
    },
    signal,
  );
  const chunks: Uint8Array[] = [];
  try {
    for await (const { stream, bytes } of execution.output) if (stream === "stdout") chunks.push(bytes);
  } finally {
    await execution.close();
  }
  signal.throwIfAborted();
  return Buffer.concat(chunks)
    .toString()
    .split("\0")
    .filter((path) => path !== "")
    .map((path) => posix.join(root, path));
}

/** Of letters, outside of meta-variables; such a word stands in every match as it is. */
function longestWord(pattern: string): string | undefined {
  const words = pattern.replaceAll(/\$+[A-Z_][A-Z0-9_]*/g, " ").match(/[A-Za-z_]\w{2,}/g) ?? [];
  return words.toSorted((a, b) => b.length - a.length)[0];
}
