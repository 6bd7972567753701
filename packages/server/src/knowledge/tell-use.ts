import { FeedbackKind } from "@guildhall/protocol";

import type { GlobalKnowledge } from "./global.ts";

/** Writes down what a session made of what it was shown, each item and kind once a session, however often its log is read. */
export async function tellUse(
  knowledge: Pick<GlobalKnowledge, "open" | "pseudonym">,
  made: { used: readonly string[]; confirmed: readonly string[] },
  session: string,
  project: string,
): Promise<void> {
  if (made.used.length + made.confirmed.length === 0) return;
  const { replica } = await knowledge.open();
  const asker = await knowledge.pseudonym(session);
  for (const [kind, ids] of [
    [FeedbackKind.USED, made.used],
    [FeedbackKind.CONFIRMED, made.confirmed],
  ] as const) {
    const fresh = ids.filter((id) => {
      const item = replica.ledger.item(id);
      return item !== undefined && item.forgottenAt === undefined && !item.uses.some((use) => use.session === asker && use.kind === kind);
    });
    await replica.feedback(fresh, kind, { actor: "system", session: asker, project });
  }
}
