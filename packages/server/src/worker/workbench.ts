import { type ClosableToolSession, createToolSession } from "@guildhall/agent";
import {
  type BlobStore,
  type Checkpointer,
  GuildError,
  type Ids,
  type Masker,
  type Sandbox,
  type SandboxLimits,
  type SandboxProvider,
} from "@guildhall/core";

import type { Surroundings } from "../network/surroundings.ts";
import { settledCheckpointer } from "./settled-checkpointer.ts";

/** What a session works with: its sandbox, the tools' state in it and the checkpoints of its workspace. Kept warm between turns. */
export interface Workbench {
  readonly sandbox: Promise<Sandbox>;
  readonly toolSession: Promise<ClosableToolSession>;
  readonly checkpointer: Promise<Checkpointer>;
  /** The sandbox has ended, for whatever reason: this workbench is of no more use. */
  readonly broken: boolean;
  /** Kills every process and frees everything. Idempotent. */
  close(): Promise<void>;
}

export interface WorkbenchDeps {
  provider(name: string): Promise<SandboxProvider>;
  /** Checkpoints of the sandbox's workspace. */
  checkpointer(sandbox: Sandbox): Promise<Checkpointer>;
  blobs: BlobStore;
  ids: Ids;
}

/** Opens everything at once and returns before any of it is there; what fails rejects the promise of that part. */
export function openWorkbench(
  deps: WorkbenchDeps,
  of: {
    workspace: string;
    provider: string;
    limits: SandboxLimits;
    masker: Masker;
    /** What policy gives the sandbox; default nothing: no network, no secrets. */
    surroundings?: () => Promise<Surroundings>;
  },
): Workbench {
  let broken = false;
  let closing: Promise<void> | undefined;
  const surroundings = of.surroundings?.() ?? Promise.resolve(undefined);
  // Awaited with the provider just below.
  surroundings.catch(() => undefined);
  const sandbox = deps.provider(of.provider).then(async (provider) => {
    const spec = { id: deps.ids.next("sbx"), workspace: of.workspace, limits: of.limits, leaseMs: sandboxLeaseMs };
    const around = await surroundings;
    const opened = await provider.create({ ...spec, ...around?.spec });
    const fall = (): void => {
      broken = true;
    };
    around?.lost?.then(fall, fall);
    opened.gone.then(fall, fall);
    return opened;
  });
  sandbox.catch(() => (broken = true));
  const toolSession = sandbox.then((opened) => createToolSession({ sandbox: opened, blobs: deps.blobs, masker: of.masker }));
  const checkpointer = sandbox.then(async (opened) => settledCheckpointer(await deps.checkpointer(opened), opened));
  // Who awaits them hears of a failure; that nobody may is no fault.
  for (const part of [toolSession, checkpointer]) part.catch(() => undefined);
  return {
    sandbox,
    toolSession,
    checkpointer,
    get broken() {
      return broken;
    },
    close() {
      closing ??= (async () => {
        broken = true;
        const parts = await Promise.allSettled([toolSession.then((tools) => tools.close()), checkpointer.then((own) => own.close())]);
        // What never was needs no end; who asked for it was told.
        const opened = await sandbox.catch(() => undefined);
        const around = await surroundings.catch(() => undefined); // The same.
        try {
          await opened?.dispose();
        } finally {
          await around?.close();
        }
        const failed = parts.find((part) => part.status === "rejected" && opened !== undefined);
        if (failed?.status === "rejected") throw GuildError.from(failed.reason);
      })();
      return closing;
    },
  };
}

/** Shorter than a session's lease, so that nothing of a lost worker runs when another takes over. */
const sandboxLeaseMs = 8_000;
