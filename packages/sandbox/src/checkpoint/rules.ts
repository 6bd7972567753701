/** Which files checkpoints cover. `.git` is never among them, wherever it lies; git repositories within are plain directories. */
export interface CheckpointRules {
  /** Files over this size are left out, bytes. */
  maxFileBytes: number;
  /** A file that git ignores is covered up to this size, so that a `.env` survives a rewind. Ignored directories never are. */
  maxIgnoredFileBytes: number;
  /** … and up to this total. */
  maxIgnoredTotalBytes: number;
}

export const DEFAULT_CHECKPOINT_RULES: CheckpointRules = {
  maxFileBytes: 64 * 1024 * 1024,
  maxIgnoredFileBytes: 256 * 1024,
  maxIgnoredTotalBytes: 8 * 1024 * 1024,
};
