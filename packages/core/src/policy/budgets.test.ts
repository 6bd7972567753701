import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { GuildError } from "../errors.ts";
import { sharedBudget } from "./budgets.ts";

const session = { tenant: "local", session: "ses_1", epoch: 1 };

describe("a shared budget", () => {
  it("counts what is reserved as spent until it is settled", async () => {
    const budget = sharedBudget("team", { tokens: 100 });
    const first = await budget.reserve(session, { steps: 1, tokens: 80 });
    await assert.rejects(budget.reserve(session, { steps: 1, tokens: 80 }), (error) => GuildError.is(error, "resource_exhausted"));
    await budget.settle(first, { steps: 1, tokens: 10 });
    await budget.reserve(session, { steps: 1, tokens: 80 });
    assert.deepEqual(budget.spent, { steps: 1, tokens: 10, costUsd: 0, seconds: 0 });
  });

  it("is settled once, and gives nothing when nothing is left", async () => {
    const budget = sharedBudget("team", { costUsd: 1 });
    const reservation = await budget.reserve(session, { steps: 1 });
    await budget.settle(reservation, { costUsd: 1 });
    await budget.settle(reservation, { costUsd: 1 });
    assert.equal(budget.spent.costUsd, 1);
    await assert.rejects(budget.reserve(session, { steps: 1 }), /the team budget has 0 USD left/);
  });
});
