import { GuildError, type Sandbox, type ToolVersion } from "@guildhall/core";

/** Programs that do not know `--version`. */
const ASK: Readonly<Record<string, string>> = { go: "version", java: "-version", javac: "-version", erl: "-version", gofmt: "" };

/** How long one program may take to say its version, seconds. */
const PATIENCE = 5;

/** How long all of them may take together, seconds. */
const MOST_SECONDS = 20;

/** Of each name that is there: name, path and what the program says of itself, on one line. */
const SCRIPT = `while [ $# -gt 0 ]; do
  path=$(command -v -- "$1") || path=
  case $path in
    /*) {
      out=
      [ -z "$2" ] || out=$({ timeout ${PATIENCE} "$path" $2 2>&1 </dev/null || :; } | head -c 2000 | tr '\\n\\t' '  ')
      printf '%s\\t%s\\t%s\\n' "$1" "$path" "$out"
    } & ;;
  esac
  shift 2
done; wait`;

/** The same with bash alone, for sandboxes that have neither timeout nor head: those that hold nothing of the machine. */
const PLAIN = SCRIPT.replace(`timeout ${PATIENCE} `, "").replace(
  "| head -c 2000 | tr '\\n\\t' '  '",
  // A tab would end the field. (A function: in a text, $' would mean something.)
  () => `| { IFS= read -r first || :; printf %s "\${first//$'\\t'/ }"; }`,
);

/**
 * Versions of the programs of these names that the sandbox has, in the order of the names. Asks each program itself, all at once; one that
 * says nothing within five seconds has no version.
 */
export async function probeTools(
  sandbox: Pick<Sandbox, "exec">,
  names: readonly string[],
  options: { shell: string; pure?: boolean; signal?: AbortSignal },
): Promise<ToolVersion[]> {
  const args = names.flatMap((name) => [name, ASK[name] ?? "--version"]);
  const script = options.pure === true ? PLAIN : SCRIPT;
  const execution = await sandbox.exec(
    { argv: [options.shell, "-c", script, "probe", ...args], limits: { wallSeconds: MOST_SECONDS } },
    options.signal,
  );
  const chunks: Uint8Array[] = [];
  try {
    for await (const { stream, bytes } of execution.output) if (stream === "stdout") chunks.push(bytes);
    const { code, limit } = await execution.exit;
    // What others have said by then counts.
    if (code !== 0 && limit !== "wall")
      throw new GuildError("unavailable", `programs could not be asked for their versions (${limit ?? `exit code ${code}`})`);
  } finally {
    await execution.close();
  }
  const lines = Buffer.concat(chunks).toString("utf8").split("\n");
  const found = new Map(
    lines.map((line) => line.split("\t")).map(([name = "", path = "", text = ""]) => [name, { path, version: versionIn(text) }]),
  );
  return names.flatMap((name) => {
    const tool = found.get(name);
    return tool === undefined ? [] : [{ name, ...tool }];
  });
}

/** The version in what a program says of itself: `git version 2.39.5` is 2.39.5. */
export function versionIn(text: string): string {
  return /(?<![\w.])(?:v|go)?(\d+(?:\.\d+)+(?:[-+.]?[A-Za-z0-9]+)*)/.exec(text)?.[1]?.slice(0, 40) ?? "";
}
