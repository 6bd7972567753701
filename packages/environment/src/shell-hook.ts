import { GuildError, type Sandbox } from "@guildhall/core";

/** How long a hook may take when nothing else is said, seconds. */
const PATIENCE = 30;

/** Runs the hook where the session works, and prints what is exported then: `name=value`, each ended by a NUL. */
const SCRIPT = `eval "$1" >&2 </dev/null
while IFS= read -r name; do printf '%s=%s\\0' "$name" "\${!name}"; done < <(compgen -e)`;

/** Variables that belong to one shell and not to its successors. */
const OWN = new Set(["_", "SHLVL", "PWD", "OLDPWD", "TERM", "BASHOPTS", "SHELLOPTS"]);

/**
 * Runs an environment's hook once in the sandbox; what it exports is in the environment of every later command. Resolves to what went wrong,
 * in one line, or nothing: a session can do without its hook.
 *
 * @param known variables that the environment has without it. @param seconds how long it may take; 0, or more than usual: as long as usual.
 */
export async function runShellHook(
  sandbox: Pick<Sandbox, "exec" | "changeEnvironment">,
  hook: string,
  known: Readonly<Record<string, string>>,
  seconds = PATIENCE,
): Promise<string | undefined> {
  const patience = seconds === 0 ? PATIENCE : Math.min(seconds, PATIENCE);
  try {
    if (sandbox.changeEnvironment === undefined) return "the shell hook was not run: this sandbox's environment cannot be changed";
    const before = await exported(sandbox, ":");
    const after = await exported(sandbox, hook, patience);
    const changes: Record<string, string | undefined> = {};
    for (const [name, value] of after) if (!OWN.has(name) && before.get(name) !== value) changes[name] = value;
    for (const name of Object.keys(known)) if (!after.has(name)) changes[name] = undefined;
    if (Object.keys(changes).length > 0) sandbox.changeEnvironment(changes);
    return undefined;
  } catch (error) {
    return `The environment's shell hook had no effect: ${GuildError.from(error).line}`;
  }
}

async function exported(sandbox: Pick<Sandbox, "exec">, hook: string, patience = PATIENCE): Promise<Map<string, string>> {
  const execution = await sandbox.exec({
    argv: ["/run/guildhall/bin/bash", "-c", SCRIPT, "hook", hook],
    limits: { wallSeconds: patience },
  });
  const chunks: Uint8Array[] = [];
  try {
    for await (const { stream, bytes } of execution.output) if (stream === "stdout") chunks.push(bytes);
    const { code, limit } = await execution.exit;
    if (limit === "wall") throw new GuildError("deadline_exceeded", `it was not done after ${patience} s`);
    if (code !== 0) throw new GuildError("failed_precondition", `it ended with ${limit ?? `exit code ${code}`}`);
  } finally {
    await execution.close();
  }
  const pairs = Buffer.concat(chunks).toString("utf8").split("\0");
  return new Map(
    pairs.flatMap((pair) => (pair.includes("=") ? [[pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]] : [])),
  );
}

/** PATH of commands in the sandbox. */
export async function readPath(sandbox: Pick<Sandbox, "exec">): Promise<string> {
  return (await exported(sandbox, ":")).get("PATH") ?? "";
}

/** HOME of commands in the sandbox. */
export async function readHome(sandbox: Pick<Sandbox, "exec">): Promise<string> {
  return (await exported(sandbox, ":")).get("HOME") ?? "";
}
