import type { Checkpointer, Sandbox, SandboxConflict } from "@guildhall/core";

/**
 * Checkpoints are taken where nothing is being written: the points at which a sandbox that works on a copy brings both sides together.
 * What both had changed is told of with what the checkpoint leaves out. The same checkpointer when there is no copy.
 */
export function settledCheckpointer(checkpointer: Checkpointer, sandbox: Sandbox): Checkpointer {
  if (sandbox.settle === undefined) return checkpointer;
  const settle = sandbox.settle.bind(sandbox);
  return {
    async capture() {
      const conflicts = await settle();
      const checkpoint = await checkpointer.capture();
      return { ...checkpoint, omitted: [checkpoint.omitted, ...conflicts.map(told)].filter((one) => one !== "").join("; ") };
    },
    async restore(tree) {
      await settle();
      const changes = await checkpointer.restore(tree);
      await settle();
      return changes;
    },
    diff: (from, to) => checkpointer.diff(from, to),
    close: () => checkpointer.close(),
  };
}

function told({ path, kept }: SandboxConflict): string {
  return `what the sandbox wrote to ${path}, which was changed from outside too: kept as ${kept}`;
}
