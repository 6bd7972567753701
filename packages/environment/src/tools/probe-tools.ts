import { GuildError, type Sandbox, type ToolVersion } from "@guildhall/core";

/** What is known of programs, by file: their versions need not be asked for again. */
export interface ToolCache {
  get(key: string): string | undefined;
  set(key: string, version: string): void;
}

/** Programs that do not know `--version`. */
const ASK: Readonly<Record<string, string>> = { go: "version", java: "-version", javac: "-version", erl: "-version", gofmt: "" };

/** How long one program may take to say its version, seconds. */
const PATIENCE = 5;

/** Of each name: the name, its path, and what tells whether the file has changed. */
const FIND = `for name; do
  path=$(command -v -- "$name") && case $path in /*) ;; *) path= ;; esac || path=
  [ -n "$path" ] && printf '%s\\t%s\\t%s\\n' "$name" "$path" "$(stat -Lc '%i.%s.%Y' -- "$path" 2>/dev/null)"
done; :`;

const ASK_ALL = `while [ $# -gt 0 ]; do
  { out=$({ if [ -n "$3" ]; then timeout ${PATIENCE} "$2" $3; fi; } 2>&1 </dev/null | head -c 2000 | tr '\\n\\t' '  '); printf '%s\\t%s\\n' "$1" "$out"; } &
  shift 3
done; wait`;

/**
 * Versions of the programs of these names that the sandbox has, in the order of the names. Asks each program itself, once as long as its
 * file stays the same; one that says nothing within five seconds has no version.
 */
export async function probeTools(
  sandbox: Pick<Sandbox, "exec">,
  names: readonly string[],
  cache: ToolCache,
  options: { shell: string; env?: Readonly<Record<string, string>>; signal?: AbortSignal },
): Promise<ToolVersion[]> {
  const run = (script: string, args: readonly string[]) => lines(sandbox, [options.shell, "-c", script, "probe", ...args], options);
  const found = (await run(FIND, names)).map(([name = "", path = "", stamp = ""]) => ({ name, path, key: `${path} ${stamp}` }));
  const unknown = found.filter(({ key }) => cache.get(key) === undefined);
  if (unknown.length > 0) {
    const answers = new Map(
      (await run(ASK_ALL, unknown.flatMap(({ name, path }) => [name, path, ASK[name] ?? "--version"]))).map(([name = "", text = ""]) => [name, text]),
    );
    for (const { name, key } of unknown) cache.set(key, versionIn(answers.get(name) ?? ""));
  }
  return found.map(({ name, path, key }) => ({ name, version: cache.get(key) ?? "", path }));
}

/** The version in what a program says of itself: `git version 2.39.5` is 2.39.5. */
export function versionIn(text: string): string {
  return /(?<![\w.])(?:v|go)?(\d+(?:\.\d+)+(?:[-+.]?[A-Za-z0-9]+)*)/.exec(text)?.[1]?.slice(0, 40) ?? "";
}

async function lines(
  sandbox: Pick<Sandbox, "exec">,
  argv: [string, ...string[]],
  options: { env?: Readonly<Record<string, string>>; signal?: AbortSignal },
): Promise<string[][]> {
  const execution = await sandbox.exec({ argv, limits: { wallSeconds: 30 }, ...(options.env === undefined ? {} : { env: { ...options.env } }) }, options.signal);
  const chunks: Uint8Array[] = [];
  try {
    for await (const { stream, bytes } of execution.output) if (stream === "stdout") chunks.push(bytes);
    const { code, limit } = await execution.exit;
    if (code !== 0) throw new GuildError("unavailable", `the sandbox's programs could not be asked for their versions (${limit ?? `exit code ${code}`})`);
  } finally {
    await execution.close();
  }
  return Buffer.concat(chunks)
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("\t"));
}
