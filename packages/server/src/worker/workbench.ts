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
  type SandboxSpec,
  type SessionPart,
  type ToolSession,
} from "@guildhall/core";

import { decisionsPart } from "../network/decisions-part.ts";
import type { Surroundings } from "../network/surroundings.ts";
import { closeParts, type PartSurroundings } from "../parts/index.ts";
import { settledCheckpointer } from "./settled-checkpointer.ts";

/** What a session works with: its sandbox, the tools' state in it and the checkpoints of its workspace. Kept warm between turns. */
export interface Workbench {
  readonly sandbox: Promise<Sandbox>;
  readonly toolSession: Promise<ClosableToolSession>;
  readonly checkpointer: Promise<Checkpointer>;
  /** What has joined the session; closed before its sandbox. */
  readonly parts: Promise<readonly SessionPart[]>;
  /** The sandbox has ended, for whatever reason: this workbench is of no more use. */
  readonly broken: boolean;
  /** Kills every process, at once and before anything is put in order; `close` does the rest. */
  kill(): Promise<void>;
  /** Kills every process and frees everything. Idempotent. */
  close(): Promise<void>;
}

export interface WorkbenchDeps {
  provider(name: string): Promise<SandboxProvider>;
  /** Checkpoints of the sandbox's workspace; `apart`: a name, where its files are others than those of the workspace outside. */
  checkpointer(sandbox: Sandbox, apart?: string): Promise<Checkpointer>;
  blobs: BlobStore;
  ids: Ids;
}

/** Opens everything at once and returns before any of it is there; what fails rejects the promise of that part. */
export function openWorkbench(
  deps: WorkbenchDeps,
  of: {
    workspace: string;
    /** Where the files are that the sandbox has in the workspace's place; default the workspace itself. */
    source?: () => Promise<string | undefined>;
    /** With `source`: its name. */
    apart?: string;
    /** Comes between the session and its checkpoints. */
    checkpoints?: (checkpointer: Checkpointer, sandbox: Sandbox) => Promise<Checkpointer>;
    provider: string;
    limits: SandboxLimits;
    /** Of the sandbox, milliseconds: it dies when this process has been silent for that long. */
    leaseMs?: number;
    masker: Masker;
    /** What policy gives the sandbox; default nothing: no network, no secrets. */
    surroundings?: () => Promise<Surroundings>;
    /** What joins the session; default nothing. */
    parts?: {
      surroundings(): Promise<PartSurroundings>;
      open(on: { sandbox: Promise<Sandbox>; toolSession: Promise<ToolSession>; spec: Promise<SandboxSpec> }): Promise<SessionPart[]>;
    };
  },
): Workbench {
  let broken = false;
  let closing: Promise<void> | undefined;
  const surroundings = of.surroundings?.() ?? Promise.resolve(undefined);
  // Awaited with the provider just below.
  surroundings.catch(() => undefined);
  const joined = of.parts?.surroundings() ?? Promise.resolve({});
  // Awaited with the provider too.
  joined.catch(() => undefined);
  const placed = Promise.all([surroundings, joined, of.source?.()]).then(([around, given, source]) => {
    const own = { id: deps.ids.next("sbx"), workspace: of.workspace, limits: of.limits, leaseMs: of.leaseMs ?? sandboxLeaseMs };
    const spec = { ...own, ...(source === undefined ? {} : { source }) };
    const { readOnly = [], writable = [] } = around?.spec ?? {};
    const bare = { ...spec, ...surrounded({ readOnly, writable }, given) };
    return { around, spec: { ...spec, ...surrounded(around?.spec ?? {}, given) }, bare };
  });
  // The same.
  placed.catch(() => undefined);
  const sandbox = deps.provider(of.provider).then(async (provider) => {
    const { around, spec } = await placed;
    const opened = await provider.create(spec);
    const fall = (): void => {
      broken = true;
    };
    around?.lost?.then(fall, fall);
    opened.gone.then(fall, fall);
    return opened;
  });
  sandbox.catch(() => (broken = true));
  const spec = placed.then(({ bare }) => bare);
  const toolSession = sandbox.then((opened) => createToolSession({ sandbox: opened, blobs: deps.blobs, masker: of.masker }));
  const checkpointer = sandbox.then(async (opened) => {
    const settled = settledCheckpointer(await deps.checkpointer(opened, of.apart), opened);
    return of.checkpoints?.(settled, opened) ?? settled;
  });
  const parts = of.parts?.open({ sandbox, toolSession, spec }).then((all) => [...all, decisionsPart(surroundings)]) ?? Promise.resolve([]);
  // Who awaits them hears of a failure; that nobody may is no fault.
  for (const part of [toolSession, checkpointer, parts, spec]) part.catch(() => undefined);
  return {
    async kill() {
      broken = true;
      // What never was needs no end.
      const opened = await sandbox.catch(() => undefined);
      await opened?.dispose();
    },
    sandbox,
    toolSession,
    checkpointer,
    parts,
    get broken() {
      return broken;
    },
    close() {
      closing ??= (async () => {
        broken = true;
        // First: the end of tools and parts is something that runs inside, and would hide that nothing of the agent's has since its turn was over.
        const told = await Promise.allSettled([checkpointer.then((own) => own.resume?.())]);
        const parted = await Promise.allSettled([parts.then(closeParts).then(async () => (await toolSession).close())]);
        // Last: whatever still runs may be ended for it.
        const ends = [...told, ...parted, ...(await Promise.allSettled([checkpointer.then((own) => own.close())]))];
        // What never was needs no end; who asked for it was told.
        const opened = await sandbox.catch(() => undefined);
        const around = await surroundings.catch(() => undefined); // The same.
        try {
          await opened?.dispose();
        } finally {
          await around?.close();
        }
        const failed = ends.find((end) => end.status === "rejected" && opened !== undefined);
        if (failed?.status === "rejected") throw GuildError.from(failed.reason);
      })();
      return closing;
    },
  };
}

/** The spec with what parts give; what policy says stands over it. */
export function surrounded(spec: Surroundings["spec"], given: PartSurroundings): Surroundings["spec"] {
  const readOnly = [...(given.readOnly ?? []), ...(spec.readOnly ?? [])];
  return { ...given, ...spec, env: { ...given.env, ...spec.env }, ...(readOnly.length > 0 ? { readOnly } : {}) };
}

/** Shorter than a session's lease, so that nothing of a lost worker runs when another takes over. */
const sandboxLeaseMs = 8_000;
