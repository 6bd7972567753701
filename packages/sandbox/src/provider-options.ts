export interface SandboxProviderOptions {
  /** Where a provider keeps what it must: prepared system files, copies. Owned by the caller, created when absent. */
  stateDir: string;
  /** What `native/build.sh` made; default beside the package. */
  toolkitDir?: string;
  /** The unprivileged ids that sandboxes run under when we are root; default 60789. */
  user?: { uid: number; gid: number };
  docker?: DockerOptions;
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
