export interface SandboxProviderOptions {
  /** Where a provider keeps what it must: prepared system files, copies. Owned by the caller, created when absent. */
  stateDir: string;
  /** What `native/build.sh` made; default beside the package. */
  toolkitDir?: string;
  /** The unprivileged ids that sandboxes run under when we are root; default 60789. */
  user?: { uid: number; gid: number };
}
