import type { ConnectRouter } from "@connectrpc/connect";
import { BudgetService, PoolService, TaskService } from "@guildhall/protocol";

import type { BudgetLedger } from "../storage/budget-ledger.ts";
import type { Pool } from "./compose-pool.ts";
import { budgetService, poolService, taskService } from "./pool-services.ts";

/** What people ask of tasks, workers and budgets. */
export function addPoolServices(
  router: ConnectRouter,
  { pool, budgets, tenant }: { pool: Pool; budgets: BudgetLedger; tenant: string },
): void {
  router.service(
    TaskService,
    taskService(() => pool.desk()),
  );
  router.service(
    PoolService,
    poolService(() => pool.open()),
  );
  router.service(BudgetService, budgetService(budgets, tenant));
}
