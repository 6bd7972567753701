import { randomUUID } from "node:crypto";

import { type Budgets, GuildError, type Spending } from "@guildhall/core";

import type { Database } from "./database.ts";

/** One budget and what is left of it. */
export interface BudgetRecord {
  path: string;
  limits: Spending;
  spent: Spending;
  reserved: Spending;
}

/** Budgets by path (`org`, `org/project`): what counts against one counts against all above it. */
export interface BudgetLedger extends Budgets {
  /** 0: no limit of that kind. Creates it. */
  set(tenant: string, path: string, limits: Spending): Promise<BudgetRecord>;
  list(tenant: string, path?: string): Promise<BudgetRecord[]>;
}

/**
 * Reserves before a call and settles after it, so that calls at the same time never promise the same money twice: what is spent passes a limit
 * by one call under way at the most. A reservation whose call nobody settles is gone when its session is taken over, and after `holdMs`; what is
 * settled late counts all the same. What was asked for more than once stays under its name for as long when it is settled, holding nothing, so that
 * a request that was long on its way reserves nothing anew. `pathOf`: the budget that a session counts against; empty: none.
 */
export function createBudgetLedger(
  database: Database,
  pathOf: (tenant: string, session: string) => Promise<string>,
  holdMs = 15 * 60_000,
): BudgetLedger {
  const paths = new Map<string, string>();
  const open = new Map<string, { tenant: string; paths: string[] }>();
  const budgetsOf = async (tenant: string, session: string): Promise<string[]> => {
    const known = paths.get(session) ?? (await pathOf(tenant, session));
    if (paths.size > 5_000) paths.clear();
    paths.set(session, known);
    return pathsAbove(known);
  };
  return {
    async reserve({ tenant, session, epoch }, wanted, name = "") {
      const id = name === "" ? `rsv_${randomUUID()}` : name;
      const above = await budgetsOf(tenant, session);
      if (above.length === 0) return { id: "" };
      const ask = { ...NOTHING, ...wanted };
      await database.transaction(async (client) => {
        await client.query("DELETE FROM guildhall.reservation WHERE tenant_id = $1 AND expires_at < now()", [tenant]);
        // The rows are locked in one order, so that two calls never wait for each other.
        const { rows } = await client.query<BudgetRow>(
          `SELECT * FROM guildhall.budget WHERE tenant_id = $1 AND path = ANY($2::text[]) ORDER BY path FOR UPDATE`,
          [tenant, above],
        );
        const made = await client.query("SELECT 1 FROM guildhall.reservation WHERE tenant_id = $1 AND reservation_id = $2", [tenant, id]);
        if (made.rows.length > 0) return;
        for (const row of rows) {
          const { rows: held } = await client.query<HeldRow>(HELD, [tenant, row.path]);
          refuseBeyond(toRecord(row, held[0]), ask);
        }
        await client.query(
          `INSERT INTO guildhall.reservation (tenant_id, reservation_id, session_id, epoch, path, steps, tokens, cost_usd, seconds, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + $10::float8 * interval '1 millisecond')`,
          [tenant, id, session, epoch, above.at(-1), ask.steps, ask.tokens, ask.costUsd, ask.seconds, holdMs],
        );
      });
      open.set(id, { tenant, paths: above });
      // What another orchestrator settles is never asked for here; its row tells the same.
      for (const oldest of open.keys()) {
        if (open.size <= MOST_OPEN) break;
        open.delete(oldest);
      }
      return { id };
    },
    async settle({ id, askedAgain = false }, spending) {
      if (id === "") return;
      const known = open.get(id);
      open.delete(id);
      const spent = { ...NOTHING, ...spending };
      await database.transaction(async (client) => {
        const { rows } = await client.query<{ tenant_id: string; path: string }>(
          askedAgain
            ? `UPDATE guildhall.reservation SET epoch = ${SETTLED} WHERE reservation_id = $1 AND epoch <> ${SETTLED} RETURNING tenant_id, path`
            : `DELETE FROM guildhall.reservation WHERE reservation_id = $1 AND epoch <> ${SETTLED} RETURNING tenant_id, path`,
          [id],
        );
        const tenant = rows[0]?.tenant_id ?? known?.tenant;
        // Settled already, or by an orchestrator that we know nothing of.
        if (tenant === undefined) return;
        if (rows.length === 0) {
          const settled = await client.query("SELECT 1 FROM guildhall.reservation WHERE tenant_id = $1 AND reservation_id = $2", [
            tenant,
            id,
          ]);
          if (settled.rows.length > 0) return;
        }
        const above = known?.paths ?? pathsAbove(rows[0]?.path ?? "");
        await client.query(
          `UPDATE guildhall.budget SET spent_steps = spent_steps + $3, spent_tokens = spent_tokens + $4, spent_cost_usd = spent_cost_usd + $5,
           spent_seconds = spent_seconds + $6 WHERE tenant_id = $1 AND path = ANY($2::text[])`,
          [tenant, above, spent.steps, spent.tokens, spent.costUsd, spent.seconds],
        );
      });
    },
    async set(tenant, path, limits) {
      checkPath(path);
      await database.write({
        text: `INSERT INTO guildhall.budget (tenant_id, path, max_steps, max_tokens, max_cost_usd, max_seconds, spent_steps, spent_tokens,
            spent_cost_usd, spent_seconds) VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, 0)
          ON CONFLICT (tenant_id, path) DO UPDATE SET max_steps = $3, max_tokens = $4, max_cost_usd = $5, max_seconds = $6`,
        values: [tenant, path, limits.steps, limits.tokens, limits.costUsd, limits.seconds],
      });
      const [record] = await this.list(tenant, path);
      return record ?? { path, limits, spent: NOTHING, reserved: NOTHING };
    },
    async list(tenant, path) {
      const rows = await database.read<BudgetRow & HeldRow>({
        text: `SELECT b.*, h.* FROM guildhall.budget b CROSS JOIN LATERAL (${HELD.replaceAll("$2", "b.path").replaceAll("$1", "b.tenant_id")}) h
          WHERE b.tenant_id = $1 AND ($2::text IS NULL OR b.path = $2) ORDER BY b.path`,
        values: [tenant, path ?? null],
      });
      return rows.map((row) => toRecord(row, row));
    },
  };
}

/** Epoch of a reservation that is settled and only remembered: no lease has it, so that it holds nothing. */
const SETTLED = -1;
/** Calls under way that are known by heart. */
const MOST_OPEN = 10_000;

const NOTHING: Spending = { steps: 0, tokens: 0, costUsd: 0, seconds: 0 };

/** What calls under way hold of a budget and of those below it. A call of an epoch that is over is nobody's any more. */
const HELD = `SELECT COALESCE(sum(steps), 0) AS held_steps, COALESCE(sum(tokens), 0) AS held_tokens, COALESCE(sum(cost_usd), 0) AS held_cost_usd,
  COALESCE(sum(seconds), 0) AS held_seconds FROM guildhall.reservation r
  WHERE r.tenant_id = $1 AND (r.path = $2 OR starts_with(r.path, $2 || '/')) AND r.expires_at >= now() AND r.epoch >= COALESCE(
    (SELECT s.epoch FROM guildhall.session s WHERE s.tenant_id = r.tenant_id AND s.session_id = r.session_id), 0)`;

interface BudgetRow {
  path: string;
  max_steps: number;
  max_tokens: number;
  max_cost_usd: number;
  max_seconds: number;
  spent_steps: number;
  spent_tokens: number;
  spent_cost_usd: number;
  spent_seconds: number;
}

interface HeldRow {
  held_steps: number;
  held_tokens: number;
  held_cost_usd: number;
  held_seconds: number;
}

function toRecord(row: BudgetRow, held: HeldRow | undefined): BudgetRecord {
  return {
    path: row.path,
    limits: { steps: row.max_steps, tokens: row.max_tokens, costUsd: row.max_cost_usd, seconds: row.max_seconds },
    spent: { steps: row.spent_steps, tokens: row.spent_tokens, costUsd: row.spent_cost_usd, seconds: row.spent_seconds },
    reserved: {
      steps: Number(held?.held_steps ?? 0),
      tokens: Number(held?.held_tokens ?? 0),
      costUsd: Number(held?.held_cost_usd ?? 0),
      seconds: Number(held?.held_seconds ?? 0),
    },
  };
}

/** What is left must hold the call; at the very limit nothing is left, however little is asked. */
function refuseBeyond({ path, limits, spent, reserved }: BudgetRecord, wanted: Spending): void {
  for (const kind of ["steps", "tokens", "costUsd", "seconds"] as const) {
    if (limits[kind] === 0) continue;
    const left = limits[kind] - spent[kind] - reserved[kind];
    if (left > 0 && wanted[kind] <= left) continue;
    const unit = { steps: "steps", tokens: "tokens", costUsd: "US dollars", seconds: "seconds" }[kind];
    throw new GuildError("resource_exhausted", `the budget ${path} has ${Math.max(0, left)} of ${limits[kind]} ${unit} left`, {
      subject: path,
      remedy: `raise it: guild budget set ${path}`,
    });
  }
}

/** `a/b/c` counts against `a`, `a/b` and `a/b/c`. */
function pathsAbove(path: string): string[] {
  if (path === "") return [];
  const parts = path.split("/");
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

function checkPath(path: string): void {
  if (/^[\w.-]+(\/[\w.-]+)*$/.test(path) && path.length <= 200) return;
  throw new GuildError("invalid_argument", `${JSON.stringify(path.slice(0, 100))} is no budget`, {
    remedy: "name it as org, org/project, …",
  });
}
