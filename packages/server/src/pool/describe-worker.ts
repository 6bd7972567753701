import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Worker, WorkerSchema } from "@guildhall/protocol";

import type { TaskRecord } from "../storage/task-store.ts";
import type { Member } from "./pool-members.ts";

/** A worker as people see it, with what it works on. */
export function describeWorker(member: Member, tasks: readonly TaskRecord[]): Worker {
  const { capacity, version, labels, roles, environmentKinds } = member.hello;
  return create(WorkerSchema, {
    id: member.id,
    version,
    labels,
    roles,
    environmentKinds,
    load: member.load,
    draining: member.draining,
    taskIds: tasks.map(({ id }) => id),
    usedSlots: tasks.reduce((sum, { spec }) => sum + (spec.needs?.slots || 1), 0),
    joined: timestampFromDate(member.joined),
    local: member.local,
    ...(capacity === undefined ? {} : { capacity }),
  });
}
