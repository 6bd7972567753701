import type { SessionRecord } from "@guildhall/core";

/** A row as log-statements select it. */
export interface SessionRow {
  tenant_id: string;
  session_id: string;
  title: string;
  workspace: string;
  parent_id: string | null;
  created_at: Date;
  updated_at: Date;
  last_seq: number;
  epoch: number;
  turn_open: boolean;
  turn_end_reason: number | null;
  turn_end_summary: string | null;
  lease_owner: string | null;
  lease_expires_at: Date | null;
}

export function toSessionRecord(row: SessionRow): SessionRecord {
  return {
    tenant: row.tenant_id,
    session: row.session_id,
    title: row.title,
    workspace: row.workspace,
    parent: row.parent_id ?? undefined,
    lastSeq: Number(row.last_seq),
    created: row.created_at,
    updated: row.updated_at,
    epoch: Number(row.epoch),
    leaseOwner: row.lease_owner ?? undefined,
    leaseExpires: row.lease_expires_at ?? undefined,
    lastTurnEnd:
      row.turn_open || row.turn_end_reason === null
        ? undefined
        : { reason: Number(row.turn_end_reason), summary: row.turn_end_summary ?? "" },
    turnOpen: row.turn_open,
  };
}
