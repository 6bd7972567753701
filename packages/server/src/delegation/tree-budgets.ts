import { type Budgets, type EventLog, GuildError, type SessionKey, type Spending } from "@guildhall/core";

import { delegationOf, type SessionTree } from "./session-tree.ts";

const MOST_ROOTS = 1_000;

type Kind = "steps" | "tokens" | "costUsd";
const KINDS: readonly Kind[] = ["steps", "tokens", "costUsd"];
const UNITS: Record<Kind, string> = { steps: "steps", tokens: "tokens", costUsd: "USD" };

/**
 * The limits of a session hold for all that it hands on too: every call to a model within the tree is reserved against what the root has left. What was spent
 * is read from the logs, so that a restart forgets nothing. A session without agents is bound by its own limits alone.
 */
export function treeBudgets(log: EventLog, tree: SessionTree): Budgets {
  const held = new Map<string, Array<{ id: string; wanted: Partial<Spending> }>>();
  const roots = new Map<string, SessionKey>();
  let reservations = 0;
  return {
    async reserve(session, wanted) {
      const root = roots.get(session.session) ?? (await rootOf(log, session));
      // Known for good: who gave whom his work never changes.
      roots.set(session.session, root);
      if (roots.size > MOST_ROOTS) roots.clear();
      const members = await membersOf(tree, root);
      const waiting = held.get(root.session) ?? [];
      if (members.length > 1) {
        const states = await Promise.all(members.map((member) => tree.state(member)));
        const { limits } = await tree.state(root);
        const total = { steps: limits.maxSteps, tokens: limits.maxTokens, costUsd: limits.maxCostUsd };
        for (const kind of KINDS) {
          if (total[kind] === 0) continue;
          const spent =
            states.reduce((sum, state) => sum + spentOf(state)[kind], 0) + waiting.reduce((sum, one) => sum + (one.wanted[kind] ?? 0), 0);
          if (spent >= total[kind]) {
            throw new GuildError("resource_exhausted", `the agents of ${root.session} have used up its ${total[kind]} ${UNITS[kind]}`, {
              subject: root.session,
              remedy: `resume it with more: guild session resume ${root.session}`,
            });
          }
        }
      }
      const id = `${root.session} ${++reservations}`;
      held.set(root.session, [...waiting, { id, wanted }]);
      return { id };
    },
    settle({ id }) {
      const [root = ""] = id.split(" ");
      const left = (held.get(root) ?? []).filter((one) => one.id !== id);
      if (left.length === 0) held.delete(root);
      else held.set(root, left);
      return Promise.resolve();
    },
  };
}

/** Both at once: what one refuses is not held by the other. */
export function bothBudgets(outer: Budgets, inner: Budgets): Budgets {
  const pairs = new Map<string, [{ id: string }, { id: string }]>();
  let made = 0;
  return {
    async reserve(session, wanted) {
      const first = await outer.reserve(session, wanted);
      try {
        const second = await inner.reserve(session, wanted);
        const id = `both ${++made}`;
        pairs.set(id, [first, second]);
        return { id };
      } catch (error) {
        await outer.settle(first, {});
        throw error;
      }
    },
    async settle({ id }, spent) {
      const pair = pairs.get(id);
      pairs.delete(id);
      if (pair === undefined) return;
      await Promise.all([outer.settle(pair[0], spent), inner.settle(pair[1], spent)]);
    },
  };
}

async function rootOf(log: EventLog, key: SessionKey): Promise<SessionKey> {
  let root: SessionKey = { tenant: key.tenant, session: key.session };
  for (let depth = 0; depth < 16; depth++) {
    const delegation = await delegationOf(log, root);
    if (delegation === undefined) return root;
    root = { tenant: key.tenant, session: delegation.parentSessionId };
  }
  return root;
}

async function membersOf(tree: SessionTree, root: SessionKey): Promise<SessionKey[]> {
  const children = await tree.children(root);
  const below = await Promise.all(children.map((child) => membersOf(tree, child)));
  return [root, ...below.flat()];
}

function spentOf(state: Awaited<ReturnType<SessionTree["state"]>>): Record<Kind, number> {
  return { steps: state.steps, tokens: state.spent.inputTokens + state.spent.outputTokens, costUsd: state.spent.costUsd };
}
