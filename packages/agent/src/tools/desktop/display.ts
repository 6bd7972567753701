import { randomBytes } from "node:crypto";

import { type Execution, GuildError, type Sandbox, type ToolSession } from "@guildhall/core";

import { encodePng, readWindowDump } from "./picture.ts";

/** A program on the virtual display. */
interface Program {
  command: string;
  execution: Execution;
  /** The end of what it printed. */
  said: string;
  ended: string | undefined;
}

interface Display {
  number: string;
  server: Execution;
  /** Holds its screen as a file. */
  folder: string;
  /** The server has ended. */
  lost: boolean;
}

/** How long the display may take to be there, milliseconds. */
const START_MS = 15_000;
const MOST_PROGRAMS = 10;

/** A session's virtual display, started when it is first needed, with the programs on it; ended with the session. */
export class KeptDisplay {
  readonly #sandbox: Sandbox;
  #display: Display | undefined;
  #programs: Program[] = [];
  #queue: Promise<unknown> = Promise.resolve();

  constructor(session: ToolSession) {
    this.#sandbox = session.sandbox;
  }

  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(work, work);
    // The caller hears of a failure; the next call does not depend on it.
    this.#queue = run.catch(() => undefined);
    return run;
  }

  held(): string | undefined {
    return this.open ? "a display" : undefined;
  }

  get open(): boolean {
    return this.#display !== undefined && !this.#display.lost;
  }

  /** Starts a program on the display, and the display before it. Throws `failed_precondition` where the machine has none. */
  async start(command: string, size: { width: number; height: number }): Promise<void> {
    if (this.#display?.lost === true) await this.close();
    const display = (this.#display ??= await this.#serve(size));
    this.#programs = this.#programs.filter(({ ended }) => ended === undefined);
    if (this.#programs.length >= MOST_PROGRAMS)
      throw new GuildError("resource_exhausted", `more than ${MOST_PROGRAMS} programs run on the display`);
    const execution = await this.#sandbox.exec({
      argv: ["/bin/sh", "-c", command],
      env: { DISPLAY: `:${display.number}`, NO_AT_BRIDGE: "1" },
      limits: { wallSeconds: 0, cpuSeconds: 0 },
    });
    const program: Program = { command, execution, said: "", ended: undefined };
    this.#programs.push(program);
    const read = async (): Promise<void> => {
      for await (const { bytes } of execution.output) program.said = (program.said + Buffer.from(bytes).toString()).slice(-2_000);
      const { code, signal } = await execution.exit;
      program.ended = signal ?? `exit code ${code}`;
    };
    // A sandbox that ends takes its programs along.
    read().catch(() => (program.ended = "gone"));
  }

  /** Runs xdotool. Throws `failed_precondition` with its words, or where it is missing. */
  async control(args: readonly string[], signal: AbortSignal): Promise<string> {
    const { number } = this.#need();
    let execution: Execution;
    try {
      execution = await this.#sandbox.exec(
        { argv: ["xdotool", ...args], env: { DISPLAY: `:${number}` }, limits: { wallSeconds: 30 } },
        signal,
      );
    } catch (error) {
      throw GuildError.is(error, "not_found") ? missing("xdotool", "xdotool") : error;
    }
    let said = "";
    try {
      for await (const { bytes } of execution.output) said = (said + Buffer.from(bytes).toString()).slice(0, 10_000);
      const { code } = await execution.exit;
      if (code !== 0)
        throw new GuildError("failed_precondition", `xdotool: ${said.trim().split("\n").at(-1)?.slice(0, 300) || `exit code ${code}`}`);
      return said;
    } finally {
      await execution.close();
    }
  }

  /** The display as it is now, as PNG. */
  async picture(): Promise<{ png: Buffer; width: number; height: number }> {
    const { folder } = this.#need();
    const picture = readWindowDump(Buffer.from(await this.#sandbox.files.read(`${folder}/Xvfb_screen0`, { length: 300 * 1024 * 1024 })));
    return { png: await encodePng(picture), width: picture.width, height: picture.height };
  }

  /** What runs on it, with the last words of what has ended. */
  programs(): string[] {
    return this.#programs.map(({ command, ended, said }) => {
      const words = said.trim().split("\n").slice(-3).join("\n  ");
      return `${command.slice(0, 200)}: ${ended === undefined ? "running" : `ended, ${ended}`}${ended === undefined || words === "" ? "" : `\n  ${words}`}`;
    });
  }

  async close(): Promise<void> {
    const display = this.#display;
    this.#display = undefined;
    await Promise.all(this.#programs.splice(0).map(({ execution }) => execution.close()));
    if (display === undefined) return;
    await display.server.close();
    await this.#sandbox.files.remove(display.folder, { recursive: true }).catch((error: unknown) => {
      // Gone with its sandbox.
      if (!GuildError.is(error)) throw error;
    });
  }

  async #serve({ width, height }: { width: number; height: number }): Promise<Display> {
    if (this.#sandbox.provider === "host") {
      throw new GuildError("failed_precondition", "there is no virtual display without isolation", {
        remedy: "use the bubblewrap sandbox",
      });
    }
    const folder = `/tmp/guildhall-display-${randomBytes(6).toString("hex")}`;
    await this.#sandbox.files.mkdir(folder, { parents: true, mode: 0o700 });
    let server: Execution;
    try {
      server = await this.#sandbox.exec({
        argv: ["Xvfb", "-displayfd", "3", "-screen", "0", `${width}x${height}x24`, "-fbdir", folder, "-nolisten", "tcp", "-noreset"],
        control: true,
        limits: { wallSeconds: 0, cpuSeconds: 0 },
      });
    } catch (error) {
      throw GuildError.is(error, "not_found") ? missing("Xvfb", "xvfb") : error;
    }
    const display: Display = { number: "", server, folder, lost: false };
    const ready = Promise.withResolvers<string>();
    const late = setTimeout(() => ready.reject(new GuildError("deadline_exceeded", "the virtual display did not start")), START_MS);
    const read = async (): Promise<void> => {
      let number = "";
      let said = "";
      for await (const { stream, bytes } of server.output) {
        const words = Buffer.from(bytes).toString();
        if (stream === "control") number += words;
        else said = (said + words).slice(-1_000);
        if (/^\d+\n/.test(number)) ready.resolve(number.trim());
      }
      display.lost = true;
      ready.reject(
        new GuildError("failed_precondition", `the virtual display did not start: ${said.trim().split("\n").at(-1)?.slice(0, 300) ?? ""}`),
      );
    };
    read().catch((error: unknown) => ready.reject(error));
    try {
      display.number = await ready.promise;
      return display;
    } catch (error) {
      await server.close();
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  #need(): { number: string; folder: string } {
    if (this.#display === undefined || this.#display.lost) {
      throw new GuildError("failed_precondition", "there is no virtual display yet", { remedy: "begin with the command start" });
    }
    return this.#display;
  }
}

function missing(program: string, debian: string): GuildError {
  return new GuildError("failed_precondition", `${program} is not on this machine`, {
    remedy: `install it: apt-get install ${debian} (or your system's package)`,
  });
}
