import { GuildError, type ErrorCode } from "../errors.ts";
import type { ExecSpec, Execution, ExitStatus, Sandbox } from "../ports/sandbox.ts";

/** Where every provider has the toolkit. */
export const TOOLS = "/run/guildhall/bin";

export interface Finished {
  stdout: string;
  stderr: string;
  control: string;
  exit: ExitStatus;
}

/** Runs a script in the toolkit's bash to its end. */
export async function runScript(sandbox: Sandbox, script: string, spec: Partial<ExecSpec> = {}): Promise<Finished> {
  const execution = await startScript(sandbox, script, spec);
  const finished = await finish(execution);
  await execution.close();
  return finished;
}

export function startScript(sandbox: Sandbox, script: string, spec: Partial<ExecSpec> = {}, signal?: AbortSignal): Promise<Execution> {
  return sandbox.exec({ argv: [`${TOOLS}/bash`, "-c", script], ...spec }, signal);
}

/** Reads an execution to the end of its output. */
export async function finish(execution: Execution): Promise<Finished> {
  const parts: Record<"stdout" | "stderr" | "control", Uint8Array[]> = { stdout: [], stderr: [], control: [] };
  for await (const { stream, bytes } of execution.output) parts[stream].push(bytes);
  const text = (stream: keyof typeof parts): string => Buffer.concat(parts[stream]).toString("utf8");
  return { stdout: text("stdout"), stderr: text("stderr"), control: text("control"), exit: await execution.exit };
}

/** Reads output until `done` says that what came so far is enough; fails after ten seconds. */
export async function readUntil(execution: Execution, done: (text: string) => boolean): Promise<string> {
  let text = "";
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), 10_000);
  const chunks = execution.output[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([chunks.next(), late.promise]);
    if (next !== undefined && next.done !== true) text += Buffer.from(next.value.bytes).toString("latin1");
    if (next === undefined || next.done === true || done(text)) {
      clearTimeout(timer);
      if (next !== undefined && next.done !== true) return text;
      throw new GuildError("internal", `the output did not hold what was awaited: ${JSON.stringify(text.slice(-500))}`);
    }
  }
}

/** How many processes in the sandbox were started with this command line. */
export async function commandsLike(sandbox: Sandbox, command: string): Promise<number> {
  const pattern = `${command.replaceAll(" ", "\\x00")}\\x00`;
  const script = `n=0; for f in /proc/[0-9]*/cmdline; do grep -qaP '^${pattern}$' $f 2>/dev/null && n=$((n+1)); done; echo $n`;
  return Number((await runScript(sandbox, script)).stdout);
}

/** Repeats until `attempt` returns something; throws after `patienceMs`. */
export async function eventually<T>(attempt: () => Promise<T | undefined>, patienceMs = 10_000): Promise<T> {
  const until = Date.now() + patienceMs;
  for (;;) {
    const result = await attempt();
    if (result !== undefined) return result;
    if (Date.now() > until) throw new GuildError("deadline_exceeded", "it did not come about");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** For `assert.rejects`: a GuildError with this code and one readable line. */
export function failsWith(code: ErrorCode): (error: unknown) => boolean {
  return (error) => GuildError.is(error, code) && !error.line.includes("\n");
}
