import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Worker, WorkerSchema } from "@guildhall/protocol";

import type { Member } from "./pool-members.ts";
import type { Running } from "./running-task.ts";

/** A worker as people see it, with what it works on. */
export function describeWorker(member: Member, tasks: readonly Running[], distrust: number): Worker {
  const { capacity, version, labels, roles, environmentKinds } = member.hello;
  return create(WorkerSchema, {
    id: member.id,
    version,
    labels,
    roles,
    environmentKinds,
    load: member.load,
    draining: member.draining,
    taskIds: tasks.map(({ task }) => task.id),
    usedSlots: tasks.reduce((sum, { task: { spec } }) => sum + (spec.needs?.slots || 1), 0),
    joined: timestampFromDate(member.joined),
    local: member.local,
    moving: Object.fromEntries(tasks.flatMap(({ task, to }) => (to === undefined ? [] : [[task.id, to]]))),
    distrust,
    ...(capacity === undefined ? {} : { capacity }),
  });
}
