import { posix } from "node:path";

import { GuildError } from "../errors.ts";
import type {
  CapabilityReport,
  ChangeTracker,
  ExecSpec,
  Execution,
  Sandbox,
  SandboxLimits,
  SandboxProvider,
  SandboxSpec,
  SandboxUsage,
} from "../ports/sandbox.ts";
import { FAKE_PROGRAMS, FakeExecution, type FakeProgram } from "./fake-execution.ts";
import { MemoryFiles } from "./tool-files.ts";

/**
 * A sandbox in memory, for tests of what works with sandboxes: files in memory, programs that are functions, nothing of the machine. It keeps
 * the part of the port's contract that needs no shell (`sandboxBasicsContract`); it has no terminals, no ports and no limits but wall time, and walls nothing off.
 */
export class FakeSandbox implements Sandbox {
  readonly id: string;
  readonly workspace: string;
  readonly provider = "fake";
  readonly files: MemoryFiles;
  readonly changes: ChangeTracker;
  readonly gone: Promise<string>;
  readonly #programs: ReadonlyMap<string, FakeProgram>;
  readonly #spec: SandboxSpec;
  readonly #gone = Promise.withResolvers<string>();
  readonly #running = new Set<FakeExecution>();
  #why: string | undefined;
  #pids = 1;

  constructor(spec: SandboxSpec, programs: Readonly<Record<string, FakeProgram>> = {}) {
    this.id = spec.id;
    this.workspace = spec.workspace;
    this.#spec = spec;
    this.#programs = new Map(Object.entries({ ...FAKE_PROGRAMS, ...programs }));
    this.gone = this.#gone.promise;
    const tracker = new MemoryChanges(spec.workspace);
    this.changes = tracker;
    this.files = new MemoryFiles(spec.workspace, { touched: (path) => tracker.touched(path), guard: () => this.#mustLive() });
  }

  get limits(): SandboxLimits {
    return this.#spec.limits ?? {};
  }

  async exec(spec: ExecSpec, signal?: AbortSignal): Promise<Execution> {
    this.#mustLive();
    if (signal?.aborted === true) throw new GuildError("cancelled", `${spec.argv[0]} was not started`);
    if (spec.terminal !== undefined) throw new GuildError("unsupported", "a fake sandbox has no terminals");
    const cwd = spec.cwd ?? this.workspace;
    if (cwd !== "/" && (await this.files.stat(cwd, { follow: true })).kind !== "directory") {
      throw new GuildError("failed_precondition", `${cwd} is no directory`, { subject: cwd });
    }
    const program = this.#programs.get(/^(?:\/bin\/|\/usr\/bin\/)?([^/]+)$/.exec(spec.argv[0])?.[1] ?? spec.argv[0]);
    if (program === undefined) throw new GuildError("not_found", `there is no ${spec.argv[0]}`, { subject: spec.argv[0] });
    const env = { ...this.#spec.env, ...spec.env };
    const place = { cwd, env, files: this.files };
    const execution = new FakeExecution((this.#pids += 1), spec, program, place, () => {
      this.#running.delete(execution);
      signal?.removeEventListener("abort", abort);
    });
    const abort = () => execution.kill();
    this.#running.add(execution);
    signal?.addEventListener("abort", abort, { once: true });
    return execution;
  }

  async connect(port: number): Promise<never> {
    this.#mustLive();
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new GuildError("invalid_argument", `${port} is no port`);
    throw new GuildError("unavailable", `nobody listens on port ${port}`);
  }

  async usage(): Promise<SandboxUsage> {
    this.#mustLive();
    return { memoryBytes: 1, processes: this.#running.size, cpuMs: 0 };
  }

  async endAll(): Promise<void> {
    this.#mustLive();
    for (const execution of this.#running) execution.kill();
  }

  async renew(): Promise<void> {
    this.#mustLive();
  }

  async dispose(): Promise<void> {
    this.lose("disposed");
  }

  /** The sandbox ends for a reason of its own, as when its lease runs out. */
  lose(reason: string): void {
    if (this.#why !== undefined) return;
    this.#why = reason;
    for (const execution of this.#running) execution.kill(reason === "disposed" ? undefined : reason);
    this.#gone.resolve(reason);
  }

  #mustLive(): void {
    if (this.#why !== undefined) throw new GuildError("unavailable", `the sandbox is gone: ${this.#why}`, { subject: this.id });
  }
}

/** Makes fake sandboxes; `made` are all so far. */
export class FakeSandboxProvider implements SandboxProvider {
  readonly name = "fake";
  readonly made: FakeSandbox[] = [];
  readonly #programs: Readonly<Record<string, FakeProgram>>;

  constructor(programs: Readonly<Record<string, FakeProgram>> = {}) {
    this.#programs = programs;
  }

  async probe(): Promise<CapabilityReport> {
    return { provider: this.name, usable: true, capabilities: [{ name: "isolation", available: false, detail: "nothing is run" }] };
  }

  async create(spec: SandboxSpec): Promise<FakeSandbox> {
    if (!posix.isAbsolute(spec.workspace)) {
      throw new GuildError("invalid_argument", "the workspace is no absolute path", { subject: spec.workspace });
    }
    if (!/^[\w-]{1,100}$/.test(spec.id)) throw new GuildError("invalid_argument", "this is no id of a sandbox", { subject: spec.id });
    const sandbox = new FakeSandbox(spec, this.#programs);
    this.made.push(sandbox);
    return sandbox;
  }

  async close(): Promise<void> {
    await Promise.all(this.made.map((sandbox) => sandbox.dispose()));
  }
}

class MemoryChanges implements ChangeTracker {
  readonly #workspace: string;
  readonly #tracked = new Set<string>();
  readonly #touched = new Set<string>();

  constructor(workspace: string) {
    this.#workspace = workspace;
  }

  async track(paths: string[]): Promise<void> {
    for (const path of paths) this.#tracked.add(path);
  }

  async changes(): Promise<{ overflow: boolean; paths: string[] }> {
    const paths = [...this.#touched];
    this.#touched.clear();
    return { overflow: false, paths };
  }

  touched(absolute: string): void {
    const path = posix.relative(this.#workspace, absolute);
    const directory = posix.dirname(path);
    if (this.#tracked.has(path) || this.#tracked.has(directory === "." ? "" : directory)) this.#touched.add(path);
  }
}
