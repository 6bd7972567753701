export interface SandboxProviderOptions {
  /** Where a provider keeps what it must: prepared system files, copies. Owned by the caller, created when absent. */
  stateDir: string;
  /** What `native/build.sh` made; default beside the package. */
  toolkitDir?: string;
  /** The unprivileged ids that sandboxes run under when we are root; default 60789. */
  user?: { uid: number; gid: number };
  docker?: DockerOptions;
  kubernetes?: KubernetesOptions;
  /** How many bubblewrap sandboxes are kept prepared for whoever comes, once `prepare` was called; default 0. */
  warm?: number;
}

/** Of the docker provider; everything may be left out or empty. */
export interface DockerOptions {
  /** Where the engine listens, as in DOCKER_HOST; default `unix:///var/run/docker.sock`. */
  host?: string;
  /** Image whose system sandboxes have; default: an empty one with this machine's programs, read-only. */
  image?: string;
  /** Runtime of the engine's; default `runsc` (gVisor) where the engine has it, else the engine's own default. */
  runtime?: string;
}

/** Of the kubernetes provider; without `image` and `volume` it makes no sandbox. */
export interface KubernetesOptions {
  /** Address of the API server; default: the cluster in which this process runs. */
  api?: string;
  /** Directory with `token`, `ca.crt` and `namespace`; default: that of the pod's service account. */
  credentials?: string;
  /** Default: that of the credentials. */
  namespace?: string;
  /** Image whose system sandboxes have; default: `toolkitImage`. */
  image?: string;
  /** Image that has our toolkit where this worker has it: its own; default: `image`. */
  toolkitImage?: string;
  /** The volume of the workspaces, `CLAIM:/where/this/worker/has/it`. */
  volume?: string;
  /** This worker's own pod, `NAME/UID`: the cluster removes its sandboxes with it. */
  owner?: string;
}
