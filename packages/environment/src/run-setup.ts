import { GuildError, type Sandbox, type SetupCommand } from "@guildhall/core";

/** Characters of a command's last output that are told. */
const MOST_SAID = 200;

/**
 * Runs what a project wants done when its environment begins, one after another, in the sandbox. Resolves to a line on each, for the agent: a session can do
 * without, and the first that fails ends the rest, as the specification of development containers has it.
 *
 * @param seconds for each of them.
 */
export async function runSetup(sandbox: Pick<Sandbox, "exec">, commands: readonly SetupCommand[], seconds: number): Promise<string[]> {
  const lines: string[] = [];
  for (const [index, { name, argv }] of commands.entries()) {
    const failure = await run(sandbox, argv, seconds).catch((error: unknown) => GuildError.from(error).line);
    lines.push(failure === undefined ? `${name} ran.` : `${name} failed: ${failure}`);
    if (failure === undefined) continue;
    const left = commands.slice(index + 1).map((one) => one.name);
    if (left.length > 0) lines.push(`Not run after that: ${left.join(", ")}.`);
    break;
  }
  return lines;
}

/** What went wrong, in one line. */
async function run(
  sandbox: Pick<Sandbox, "exec">,
  argv: [string, ...string[]] | readonly [string, ...string[]],
  seconds: number,
): Promise<string | undefined> {
  const [program, ...args] = argv;
  const execution = await sandbox.exec({ argv: [program, ...args], limits: { wallSeconds: seconds } });
  let said = "";
  try {
    for await (const { bytes } of execution.output) said = (said + Buffer.from(bytes).toString("utf8")).slice(-2_000);
    const { code, signal, limit } = await execution.exit;
    if (code === 0 && limit === undefined) return undefined;
    const last =
      said
        .trim()
        .split("\n")
        .at(-1)
        ?.replaceAll(/[\s\p{Cc}]+/gu, " ")
        .slice(0, MOST_SAID) ?? "";
    const how =
      limit === "wall" ? `not done after ${seconds} s` : (limit ?? (code === undefined ? (signal ?? "ended") : `exit code ${code}`));
    return last === "" ? how : `${how}: ${last}`;
  } finally {
    await execution.close();
  }
}
