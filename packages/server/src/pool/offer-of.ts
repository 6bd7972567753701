import type { EventLog } from "@guildhall/core";

import type { TaskRecord } from "../storage/task-store.ts";
import { lastTree } from "./last-tree.ts";
import type { ToWorker } from "./pool-members.ts";
import { sharedPath } from "./task-terms.ts";

/** What a worker is told of a task that it is given. `fresh`: its session has just been made, so that there is no state to restore. */
export async function offerOf(
  log: EventLog,
  task: TaskRecord,
  { fresh, unattended }: { fresh: boolean; unattended: boolean },
): Promise<ToWorker> {
  const { id, spec, epoch, tenant, session = "", base = "" } = task;
  const key = { tenant, session };
  const own = sharedPath(spec) === "" && !fresh;
  const [record, tree] = await Promise.all([log.getSession(key), own ? lastTree(log, key) : ""]);
  return {
    kind: {
      case: "offer",
      value: {
        taskId: id,
        epoch,
        session: key,
        directory: record.workspace,
        tree,
        resultBranch: spec.resultBranch,
        unattended,
        base,
        ...(spec.workspace === undefined ? {} : { workspace: spec.workspace }),
        ...(spec.needs === undefined ? {} : { needs: spec.needs }),
      },
    },
  };
}
