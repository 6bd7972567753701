import type { ExecSpec, Execution, Sandbox, SandboxConflict, SandboxUsage } from "@guildhall/core";

import { InitChanges } from "./init-changes.ts";
import { startExecution, type ExecutionContext } from "./init-execution.ts";
import { InitFiles } from "./init-files.ts";
import { connectPort } from "./init-ports.ts";
import type { InitConnection } from "./wire/connection.ts";
import { FrameBuilder, ToInit } from "./wire/frame.ts";
import { initError } from "./wire/init-error.ts";

export interface InitSandboxOptions extends ExecutionContext {
  id: string;
  provider: string;
  leaseMs: number | undefined;
  /** Resolves when no process of the sandbox is left; ends the init by force when it does not end by itself. */
  stop(): Promise<void>;
  /** Frees what else the provider holds for it: cgroups, directories. After `stop`. */
  free(): Promise<void>;
  /** `Sandbox.settle`, where there is something to settle; `free` does it once more. */
  settle?(): Promise<SandboxConflict[]>;
  brought?(): readonly string[];
  /** `Sandbox.disarm`. */
  disarm?: NonNullable<Sandbox["disarm"]>;
  /** `Sandbox.wayOut`. */
  wayOut?: Sandbox["wayOut"] | undefined;
  /** `Sandbox.beside`. */
  beside?: readonly string[];
  /** Usage as the host counts it, over what the init sees. */
  measure?(seen: SandboxUsage): SandboxUsage;
  /** Changes an execution before it starts, where a provider maps paths. */
  prepare?(spec: ExecSpec): ExecSpec;
}

/** A sandbox behind its init: the same for every provider that can start one. */
export class InitSandbox implements Sandbox {
  readonly id: string;
  readonly workspace: string;
  readonly provider: string;
  readonly limits: InitSandboxOptions["limits"];
  readonly files: InitFiles;
  readonly changes: InitChanges;
  readonly gone: Promise<string>;
  readonly wayOut?: NonNullable<Sandbox["wayOut"]>;
  readonly beside?: readonly string[];
  readonly settle?: () => Promise<SandboxConflict[]>;
  readonly brought?: () => readonly string[];
  readonly disarm?: NonNullable<Sandbox["disarm"]>;
  readonly #options: InitSandboxOptions;
  readonly #connection: InitConnection;
  readonly #renewing: NodeJS.Timeout | undefined;
  /** When the init last answered that its lease is renewed, on the clock of `performance`. */
  #renewed = performance.now();
  #running = 0;
  #disposing: Promise<void> | undefined;
  #changes: Readonly<Record<string, string | undefined>> | undefined;

  constructor(options: InitSandboxOptions) {
    this.#options = options;
    this.#connection = options.connection;
    this.id = options.id;
    this.workspace = options.workspace;
    this.provider = options.provider;
    this.limits = options.limits;
    this.files = new InitFiles(options.connection);
    this.changes = new InitChanges(options.connection);
    if (options.wayOut !== undefined) this.wayOut = options.wayOut;
    const { beside, disarm } = options;
    if (beside !== undefined) this.beside = beside;
    if (disarm !== undefined) this.disarm = disarm;
    if (options.settle !== undefined) this.settle = options.settle;
    if (options.brought !== undefined) this.brought = options.brought;
    this.#connection.explainLoss = () => (this.#outlived ? "lease" : undefined);
    this.gone = this.#connection.gone.then(async (reason) => {
      await this.dispose();
      return reason;
    });
    this.gone.catch(() => {}); // dispose() reports to whoever calls it
    if (options.leaseMs !== undefined) {
      // After a standstill of ours, what came meanwhile is read before anything is written: it may say that the lease is over.
      this.#renewing = setInterval(() => setImmediate(() => this.#renewQuietly()), Math.max(1, Math.floor(options.leaseMs / 3)));
      this.#renewing.unref();
    }
  }

  async exec(spec: ExecSpec, signal?: AbortSignal): Promise<Execution> {
    const context = this.#changes === undefined ? this.#options : { ...this.#options, env: changed(this.#options.env, this.#changes) };
    const execution = await startExecution(context, this.#options.prepare?.(spec) ?? spec, signal);
    this.#running += 1;
    const ended = (): void => void (this.#running -= 1);
    execution.exit.then(ended, ended);
    return execution;
  }

  get environmentChanges(): Readonly<Record<string, string | undefined>> | undefined {
    return this.#changes;
  }

  changeEnvironment(changes: Readonly<Record<string, string | undefined>>): void {
    this.#changes = { ...this.#changes, ...changes };
  }

  async connect(port: number): ReturnType<Sandbox["connect"]> {
    return await connectPort(this.#connection, port);
  }

  async usage(): Promise<SandboxUsage> {
    const id = this.#connection.newId();
    const { errno, payload } = await this.#connection.request(id, new FrameBuilder(ToInit.usage, id, 0));
    if (errno !== 0) throw initError(errno, "cannot measure", this.id);
    const [memoryBytes, processes, cpuMs, activity] = [payload.u64(), payload.u32(), payload.u64(), payload.bigU64()];
    const left = Math.max(0, processes - this.#running * PROCESSES_OF_ONE);
    const seen = { memoryBytes, processes, left, cpuMs, ...(activity === 0n ? {} : { activity: activity.toString(16) }) };
    return this.#options.measure?.(seen) ?? seen;
  }

  async endAll(): Promise<void> {
    const id = this.#connection.newId();
    await this.#connection.request(id, new FrameBuilder(ToInit.endAll, id, 0));
  }

  async renew(): Promise<void> {
    const id = this.#connection.newId();
    await this.#connection.request(id, new FrameBuilder(ToInit.renew, id, 0));
    this.#renewed = performance.now();
  }

  /** Its lease has run out, whether or not its last word of that could still be read: what is written to it first breaks the connection. */
  get #outlived(): boolean {
    return this.#options.leaseMs !== undefined && performance.now() - this.#renewed >= this.#options.leaseMs;
  }

  dispose(): Promise<void> {
    return (this.#disposing ??= this.#dispose());
  }

  async #dispose(): Promise<void> {
    clearInterval(this.#renewing);
    this.#connection.end("disposed");
    await this.#options.stop();
    await this.#options.free();
  }

  #renewQuietly(): void {
    this.renew().catch(() => clearInterval(this.#renewing)); // `gone` tells why
  }
}

/** An execution is a keeper and the command itself. */
const PROCESSES_OF_ONE = 2;

function changed(env: Readonly<Record<string, string>>, changes: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries({ ...env, ...changes }).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
