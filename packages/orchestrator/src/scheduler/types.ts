/** An amount of everything that a worker has to give. */
export interface Amounts {
  /** Cores. */
  cpu: number;
  memoryBytes: number;
  diskBytes: number;
  /** Sessions at once. */
  slots: number;
}

/** What a task must find on a worker. */
export interface Needs extends Amounts {
  /** The worker serves this role; empty: any. */
  role: string;
  /** The worker has all these labels with these values. */
  labels: Readonly<Record<string, string>>;
  /** Kind of environment (`nix`, `devcontainer`, `host`); empty: any. */
  environmentKind: string;
}

/** A task that waits for a worker. */
export interface QueuedTask {
  id: string;
  tenant: string;
  /** Tasks of one group share a limit; a task may be of several. */
  groups: readonly string[];
  /** 0 (whenever) to 100 (now); ageing raises it. */
  priority: number;
  /** Milliseconds since the epoch; the ageing counts from here. */
  submitted: number;
  needs: Needs;
  /** Hash of the environment and id of the workspace, for locality; empty: no preference. */
  environment: string;
  workspace: string;
  /** What it is like (its project): a worker that did well with such tasks lately is preferred; empty or absent: like no other. */
  kind?: string;
}

/** A task that a worker has been given. */
export interface RunningTask {
  id: string;
  tenant: string;
  groups: readonly string[];
  priority: number;
  worker: string;
  needs: Amounts;
  /** It stands at a step boundary soon and has checkpoints: it may be asked to make room. */
  preemptible: boolean;
  /** It was asked already and will be gone soon. */
  yielding: boolean;
  /** The worker that it is about to move to, where room is kept for it. */
  to?: string | undefined;
  /** From when its ageing would count if it waited again from now on: what it has waited counts, what it has worked does not. Absent: from now. */
  submitted?: number;
}

/** A running task, with what tells whether it may be moved. */
export interface MovableTask extends RunningTask {
  needs: Needs;
  /** When its worker was given it, milliseconds. */
  since: number;
  /** How often it has moved: after each it stays twice as long. */
  moves: number;
  /** False: something lives in its sandbox that would be lost. */
  movable: boolean;
  /** Only workers of this view reach its workspace; empty: any does. */
  reach: string;
}

/** A worker as its last heartbeat and our grants describe it. */
export interface Worker {
  id: string;
  capacity: Amounts;
  /** Roles that it serves; empty: all. */
  roles: ReadonlySet<string>;
  labels: Readonly<Record<string, string>>;
  environmentKinds: ReadonlySet<string>;
  /** Environments and workspaces that it has at hand. */
  warm: ReadonlySet<string>;
  /** Measured busy share of its CPUs, 0 to 1 and above. */
  load: number;
  /** Takes nothing new. */
  draining: boolean;
  /** Workers of one view share a machine and see the same files; empty or absent: it says nothing. */
  view?: string;
  /** 0: nothing speaks against it, to 1: its last tasks were lost or failed for reasons of its own. Absent: 0. */
  distrust?: number;
  /** What it is ahead by, for tasks of these kinds, of others with as much room; 0 to 1. */
  skilled?: ReadonlyMap<string, number>;
}

export interface Limit {
  /** Tasks at once. */
  tasks: number;
  /** Of what they are granted together; what is not named has no limit. Of groups only. */
  most?: Partial<Amounts>;
}

export interface Policy {
  /** A tenant's share against others; 1 where it is not named. */
  weights: Readonly<Record<string, number>>;
  tenantLimits: Readonly<Record<string, Limit>>;
  groupLimits: Readonly<Record<string, Limit>>;
  /** A waiting task may displace a running one whose priority is at least this much lower; undefined: never. */
  preemptionGap: number | undefined;
  /** Placements of one decision at the most: what is left waits for the next. */
  maxPlacements: number;
}

export interface Placement {
  task: string;
  worker: string;
}

export interface Preemption {
  /** The running task that makes room at its next step boundary, with a checkpoint. */
  victim: string;
  worker: string;
  /** The waiting task that it makes room for. */
  for: string;
}

export interface Decision {
  placements: Placement[];
  preemptions: Preemption[];
}

/** When running tasks are moved. Shares are of a worker: 0 nothing is taken, 1 it is full. */
export interface MovePolicy {
  /** A worker is relieved from this share on. */
  crowded: number;
  /** Another has to be freer by this much at the beginning, and by `settled` to go on. */
  skew: number;
  settled: number;
  /** So long it has to last, milliseconds; counted anew after each move. */
  patienceMs: number;
  /** So long a task stays where it is, milliseconds; twice as long after each move. */
  minimumStayMs: number;
  /** Under way at once, of all workers. */
  mostAtOnce: number;
}

export interface Move {
  task: string;
  from: string;
  to: string;
  /** Taken share of both when it was decided. */
  shares: { from: number; to: number };
}

/** Workers that are too full against others, and since when. */
export type Skew = ReadonlyMap<string, number>;
