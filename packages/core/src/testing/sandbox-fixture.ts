import type { Sandbox, SandboxProvider, SandboxSpec } from "../ports/sandbox.ts";

/** What a suite runs against. */
export interface SandboxFixture {
  provider: SandboxProvider;
  /** A new empty directory that a sandbox may have as its workspace; removed by `close`. */
  newWorkspace(): Promise<string>;
  close(): Promise<void>;
}

/** Makes sandboxes for one suite; every one is disposed of after it. */
export interface Sandboxes {
  fixture(): SandboxFixture;
  /** A sandbox that the suite's tests share. */
  shared(): Sandbox;
  /** One of its own, in a new workspace unless told otherwise. */
  fresh(spec?: Partial<SandboxSpec>): Promise<Sandbox>;
}
