import { constants } from "node:os";

import { type ExitStatus, GuildError, type Sandbox } from "@guildhall/core";

import { OutputRecorder, type RecordedOutput } from "../output/output-recorder.ts";
import { type CommandEnd, KeptShell, type ShellOptions, type ShellPlace } from "./kept-shell.ts";
import { readInput } from "./keys.ts";
import { TerminalProcess } from "./terminal-process.ts";

/** How long a program that was sent something may be still before it counts as waiting for more. */
const QUIET_MS = 300;
/** How long an interrupted command has to end before it is killed. */
const INTERRUPT_MS = 1_500;
/** An idle shell takes a command within milliseconds; one that has not after so long will not. */
const TAKEN_MS = 5_000;
/** Characters of a background process's last output that can be searched. */
const TAIL = 65_536;
/** Processes in the background at a time, and those remembered after their end. */
const MOST_PROCESSES = 64;
const REMEMBERED = 256;

/** Where the shell stands, with what it exports, run the command. */
const BACKGROUND_SCRIPT = '__gh_c=$1; eval "$2"; cd -- "$3" || exit; set --; eval "unset __gh_c PROMPT_COMMAND; $__gh_c"';

export interface CallLimits {
  timeoutMs: number;
  signal: AbortSignal;
  progress(text: string): void;
}

/** What a call of the shell came to. */
export interface ShellOutcome {
  output: RecordedOutput;
  /** Undefined: still running. */
  end: CommandEnd | undefined;
  cwd: string;
  /** Things to be told besides: a shell that had ended, processes in the background that have ended since. */
  notes: string[];
}

export interface BackgroundProcess {
  readonly name: string;
  readonly command: string;
  readonly process: TerminalProcess;
  readonly recorder: OutputRecorder;
  /** When it was started, by `performance.now()`. */
  readonly started: number;
  /** The last of what it has printed, taken by a call or not. */
  tail: string;
  /** Gets what it prints while a call waits for it. */
  watch: ((text: string) => void) | undefined;
  told: boolean;
}

/** One session's shell and background processes. Calls of it come one at a time. */
export class ShellSession {
  readonly #options: ShellOptions;
  #shell: Promise<KeptShell> | undefined;
  /** The last that {@link #shell} has become. */
  #started: KeptShell | undefined;
  #place: ShellPlace | undefined;
  #running = "";
  /** Changes of the sandbox's environment that the shell has taken over. */
  #environment: Sandbox["environmentChanges"];
  readonly #processes = new Map<string, BackgroundProcess>();
  #count = 0;

  constructor(options: ShellOptions) {
    this.#options = options;
  }

  /** Starts the shell, so that the first command need not wait for it. A failure shows at the first command. */
  warm(): void {
    if (this.#shell !== undefined) return;
    this.#shell = KeptShell.start(this.#options, this.#place);
    this.#shell.then(
      (started) => (this.#started = started),
      () => (this.#shell = undefined),
    );
  }

  /** Runs a command, and feeds it `input` when given. Throws `failed_precondition` while another runs. */
  async run(command: string, input: string | undefined, limits: CallLimits): Promise<ShellOutcome> {
    const notes: string[] = [];
    let shell = await this.#current();
    if (!shell.busy && shell.process.ended !== undefined) {
      notes.push(`[the shell had ended (${describeExit(shell.process.ended)}); this is a fresh one]`);
      await this.#discard(shell);
      shell = await this.#current();
    }
    if (shell.busy) {
      throw new GuildError("failed_precondition", `a command is still running: ${short(this.#running)}`, {
        remedy: 'send it input, wait with input "", stop it with input "C-c", or use background for the new one',
      });
    }
    await this.#follow(shell, limits.signal);
    this.#running = command;
    shell.begin(command);
    if (input !== undefined && input !== "") await shell.input(readInput(input));
    const outcome = await this.#await(shell, { ...limits });
    return { ...outcome, notes: [...notes, ...outcome.notes] };
  }

  /** Sends input to the command in the foreground, or waits for it. */
  async feed(input: string, limits: CallLimits): Promise<ShellOutcome> {
    const shell = await this.#shell;
    if (shell === undefined || !shell.busy)
      throw new GuildError("failed_precondition", "no command is running: there is nothing to send input to");
    const keys = readInput(input);
    await shell.input(keys);
    return this.#await(shell, { ...limits, ...(input === "" ? {} : { quietMs: QUIET_MS }) });
  }

  /** Starts a process with a terminal and an output of its own, where the shell stands. */
  async startBackground(command: string, limits: CallLimits): Promise<ShellOutcome & { name: string }> {
    const alive = [...this.#processes.values()].filter((one) => one.process.ended === undefined);
    if (alive.length >= MOST_PROCESSES) {
      throw new GuildError("resource_exhausted", `${MOST_PROCESSES} processes run in the background already`, { remedy: "stop one first" });
    }
    const place = await this.#placeNow();
    const execution = await this.#options.sandbox.exec({
      argv: [this.#options.bash, "-c", BACKGROUND_SCRIPT, "bash", command, place.exports, place.cwd],
      env: this.#options.env,
      terminal: { rows: this.#options.rows, columns: this.#options.columns },
      limits: { wallSeconds: 0, cpuSeconds: 0 },
    });
    this.#count += 1;
    const name = `p${this.#count}`;
    const recorder = new OutputRecorder(this.#options);
    const process = new TerminalProcess(execution, (chunk) => recorder.write(chunk.bytes));
    const started: BackgroundProcess = {
      name,
      command,
      process,
      recorder,
      started: performance.now(),
      tail: "",
      watch: undefined,
      told: false,
    };
    recorder.onText = (text) => {
      started.tail = (started.tail + text).slice(-TAIL);
      started.watch?.(text);
    };
    this.#processes.set(name, started);
    await this.#forgetOld();
    try {
      return { ...(await this.#awaitProcess(started, limits)), name };
    } catch (error) {
      // Nobody has learnt its name: it would run on unseen.
      this.#processes.delete(name);
      await process.close();
      throw error;
    }
  }

  /** Processes in the background, those that have ended and were not forgotten yet included. */
  get processes(): readonly BackgroundProcess[] {
    return [...this.#processes.values()];
  }

  /** A command in the foreground or background that still runs. */
  held(): string | undefined {
    const [first] = [...this.#processes.values()].filter((one) => one.process.ended === undefined);
    if (first !== undefined) return `a command in the background (${short(first.command)})`;
    return this.#started?.busy === true && this.#started.process.ended === undefined
      ? `a command that still runs (${short(this.#running)})`
      : undefined;
  }

  /** The shell and what keeps it in the sandbox; its directory and variables are told as lost when the session goes on elsewhere. */
  get ownProcesses(): number {
    return this.#started !== undefined && this.#started.process.ended === undefined ? 2 : 0;
  }

  /** Throws `not_found` with the names that there are. */
  background(name: string): BackgroundProcess {
    const found = this.#processes.get(name);
    if (found !== undefined) return found;
    const names = [...this.#processes.keys()].join(", ");
    throw new GuildError("not_found", `there is no background process ${name}`, names === "" ? {} : { remedy: `there are ${names}` });
  }

  /** Sends input to a process in the background, or looks what it has printed since. */
  async feedBackground(name: string, input: string, limits: CallLimits): Promise<ShellOutcome> {
    const found = this.background(name);
    if (found.process.ended !== undefined) {
      if (input !== "" && found.told)
        throw new GuildError("failed_precondition", `${name} has ended (${describeExit(found.process.ended)})`);
      return this.#awaitProcess(found, { ...limits, timeoutMs: 0 });
    }
    await found.process.send(readInput(input), "all");
    return this.#awaitProcess(found, { ...limits, ...(input === "" ? {} : { quietMs: QUIET_MS }) });
  }

  /** Ends the shell with all that runs in it; the next command gets a fresh one where this one stood. */
  async reset(): Promise<void> {
    const shell = await this.#shell;
    if (shell !== undefined) await this.#discard(shell);
  }

  async close(): Promise<void> {
    const shell = await this.#shell?.catch(() => undefined); // it never started: nothing to close
    this.#shell = undefined;
    const processes = [...this.#processes.values()].map((one) => one.process);
    this.#processes.clear();
    await Promise.all([...processes, ...(shell === undefined ? [] : [shell.process])].map((process) => process.close()));
  }

  async #current(): Promise<KeptShell> {
    this.warm();
    if (this.#shell === undefined) throw new GuildError("internal", "no shell");
    return this.#shell;
  }

  async #placeNow(): Promise<ShellPlace> {
    const shell = await this.#shell;
    const place = shell?.place ?? this.#place ?? { cwd: this.#options.sandbox.workspace, exports: "" };
    const changes = this.#options.sandbox.environmentChanges;
    if (changes === undefined || changes === this.#environment || place.exports === "") return place;
    return { ...place, exports: `${place.exports}\n${exportLines(changes)}` };
  }

  async #await(shell: KeptShell, limits: CallLimits & { quietMs?: number }): Promise<ShellOutcome> {
    const begun = performance.now();
    shell.recorder.onText = limits.progress;
    try {
      const over = (): boolean => shell.commandEnd !== undefined;
      const { timeoutMs: ms, signal } = limits;
      // Compared before the wait: a timer may fire a fraction of a millisecond early.
      const left = TAKEN_MS - shell.age;
      let why = await shell.process.wait(() => shell.taken, { ms: Math.min(ms, left), signal });
      const notTaken = why === "time" && !shell.taken && left <= ms;
      if (!notTaken && why !== "aborted")
        why = await shell.process.wait(over, { ms: Math.max(0, ms - (performance.now() - begun)), signal, ...quiet(limits) });
      if (why === "aborted") await this.#interrupt(shell);
      const end: CommandEnd | undefined = notTaken ? { kind: "not-taken" } : shell.commandEnd;
      const output = await shell.takeOutput();
      if (end !== undefined && end.kind !== "done") await this.#discard(shell);
      limits.signal.throwIfAborted();
      const notes = this.#endedProcesses();
      if (end?.kind === "done" && end.redirected)
        notes.push("[exec had redirected or closed the shell's standard streams; they are the terminal again]");
      return { output, end, cwd: shell.place.cwd, notes };
    } finally {
      shell.recorder.onText = undefined;
    }
  }

  async #awaitProcess(one: BackgroundProcess, limits: CallLimits & { quietMs?: number }): Promise<ShellOutcome> {
    one.watch = limits.progress;
    try {
      const over = (): boolean => one.process.ended !== undefined;
      await one.process.wait(over, { ms: limits.timeoutMs, signal: limits.signal, ...quiet(limits) });
      limits.signal.throwIfAborted();
      const { ended } = one.process;
      if (ended !== undefined) one.told = true;
      const output = await one.recorder.take(ended !== undefined);
      const end: CommandEnd | undefined =
        ended === undefined
          ? undefined
          : ended.code === undefined
            ? { kind: "shell-ended", status: ended }
            : { kind: "done", status: ended.code, redirected: false };
      const { cwd } = await this.#placeNow();
      return { output, end, cwd, notes: this.#endedProcesses() };
    } finally {
      one.watch = undefined;
    }
  }

  /** What was changed in the sandbox's environment since the last command becomes the shell's. */
  async #follow(shell: KeptShell, signal: AbortSignal): Promise<void> {
    const changes = this.#options.sandbox.environmentChanges;
    if (changes === undefined || changes === this.#environment) return;
    this.#environment = changes;
    shell.begin(exportLines(changes));
    await shell.process.wait(() => shell.commandEnd !== undefined, { ms: TAKEN_MS, signal });
    await shell.takeOutput();
  }

  /** The call is over now: Ctrl-C, and if that does not end the command, the end of the shell. */
  async #interrupt(shell: KeptShell): Promise<void> {
    await shell.input({ bytes: Buffer.from("\x03") });
    const why = await shell.process.wait(() => shell.commandEnd !== undefined, { ms: INTERRUPT_MS });
    if (why !== "changed") await this.#discard(shell);
  }

  /** Remembers where a shell stood, ends it, and has the next one started. */
  async #discard(shell: KeptShell): Promise<void> {
    this.#place = shell.place;
    this.#shell = undefined;
    await shell.process.close();
    this.#place = shell.place;
    this.warm();
  }

  async #forgetOld(): Promise<void> {
    if (this.#processes.size <= REMEMBERED) return;
    const old = [...this.#processes.values()].find((one) => one.told && one.process.ended !== undefined);
    if (old === undefined) return;
    this.#processes.delete(old.name);
    await old.process.close();
  }

  #endedProcesses(): string[] {
    const ended = [...this.#processes.values()].filter((one) => one.process.ended !== undefined && !one.told);
    return ended.map((one) => {
      one.told = true;
      const status = one.process.ended;
      return `[background process ${one.name} has ended (${status === undefined ? "" : describeExit(status)}): ${short(one.command)}]`;
    });
  }
}

/** Shell code that makes changes of the environment its own. */
function exportLines(changes: Readonly<Record<string, string | undefined>>): string {
  const named = Object.entries(changes).filter(([name]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  const quoted = (value: string): string => `'${value.replaceAll("'", String.raw`'\''`)}'`;
  return named.map(([name, value]) => (value === undefined ? `unset ${name}` : `export ${name}=${quoted(value)}`)).join("; ");
}

/** As a shell counts: 128 and the number of the signal when one ended it. */
export function exitCode(status: ExitStatus): number {
  if (status.code !== undefined) return status.code;
  const signal = Object.entries(constants.signals).find(([name]) => name === status.signal);
  return 128 + (signal?.[1] ?? 0);
}

/** `exit code 3`, `SIGKILL, memory limit`. */
export function describeExit(status: ExitStatus): string {
  const how = status.code === undefined ? (status.signal ?? "ended") : `exit code ${status.code}`;
  return status.limit === undefined ? how : `${how}, ${status.limit} limit`;
}

function quiet({ quietMs }: { quietMs?: number }): { quietMs?: number } {
  return quietMs === undefined ? {} : { quietMs };
}

function short(command: string): string {
  const line = command.trim().split("\n")[0] ?? "";
  return line.length > 80 || line !== command.trim() ? `${line.slice(0, 80)}…` : line;
}
