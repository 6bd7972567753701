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
}

export interface Limit {
  /** Tasks at once. */
  tasks: number;
}

export interface Policy {
  /** A tenant's share against others; 1 where it is not named. */
  weights: Readonly<Record<string, number>>;
  tenantLimits: Readonly<Record<string, Limit>>;
  groupLimits: Readonly<Record<string, Limit>>;
  /** Priority points gained a minute of waiting. */
  ageingPerMinute: number;
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
