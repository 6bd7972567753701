import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Language servers that stand with Guildhall itself, by program; each in a directory that sandboxes are shown. */
export function serverPrograms(): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  const require = createRequire(import.meta.url);
  try {
    // TypeScript's own program for this platform: it needs no Node in the sandbox.
    const manifest = require.resolve(`@typescript/typescript-${process.platform}-${process.arch}/package.json`);
    const program = join(dirname(manifest), "lib/tsc");
    if (existsSync(program)) found["tsc-native"] = program;
  } catch {
    // it was not installed
  }
  return found;
}

/** Directories that hold these programs with all they need. */
export function programDirectories(programs: Readonly<Record<string, string>>): string[] {
  return [...new Set(Object.values(programs).map((program) => dirname(dirname(program))))];
}
