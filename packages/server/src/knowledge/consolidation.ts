import { create } from "@bufbuild/protobuf";
import { GuildError } from "@guildhall/core";
import type { Group, Replica } from "@guildhall/knowledge";
import { type Knowledge, KnowledgeSchema, KnowledgeState } from "@guildhall/protocol";
import { z } from "zod";

import type { Log } from "../daemon/log.ts";
import { DISTILLED } from "./distiller.ts";
import type { GlobalKnowledge } from "./global.ts";
import type { KnowledgeModel } from "./knowledge-model.ts";

export interface ConsolidationDeps {
  knowledge: GlobalKnowledge;
  model: KnowledgeModel;
  journal: Log;
  signal: AbortSignal;
}

/**
 * Joins what several sessions learned alike: one fact stands for the group, with the evidence of all, and the others go to the cold tier, from which they can be
 * brought back. A fact that was brought back is left alone. Answers with how many were written and how many they stand for.
 */
export async function consolidateSessions(deps: ConsolidationDeps): Promise<{ joined: number; originals: number }> {
  const { knowledge } = deps;
  const { replica } = await knowledge.open();
  const { consolidate, unite } = await import("@guildhall/knowledge");
  const facts = [...replica.ledger.items()]
    .filter((item) => !item.pinned && replica.ledger.isValid(item.id) && replica.ledger.peek(item.id)?.tags.includes(DISTILLED) === true)
    .map((item) => replica.read(item.id));
  let [joined, originals] = [0, 0];
  for (const { members, best } of consolidate(facts)) {
    // What adds nothing to the one that stands for it was joined before, and somebody has brought it back.
    const others = members.filter((one) => one.id !== best.id && unite(best, one).length > best.evidence.length);
    if (others.length === 0) continue;
    const evidence = others.reduce((all, one) => unite({ ...best, evidence: all }, one), best.evidence);
    const confidence = Math.min(0.95, Math.max(...members.map((one) => one.confidence)) + 0.05 * others.length);
    const { title, text } = await wording(deps, { members: [best, ...others], best });
    const fact = create(KnowledgeSchema, { ...best, title, text, evidence, confidence });
    await knowledge.add([fact], { actor: best.author, project: best.scope?.id ?? "" });
    if (!stands(replica, best.id)) continue;
    await replica.prune(
      others.map((one) => one.id),
      () => `joined into ${best.id}`,
    );
    joined += 1;
    originals += others.length;
  }
  return { joined, originals };
}

function stands(replica: Replica, id: string): boolean {
  return replica.ledger.isValid(id) && replica.read(id).state === KnowledgeState.VALID;
}

/** The model's words where one is set and says nothing new; else those of the best. */
async function wording(
  { model, journal, signal }: ConsolidationDeps,
  { members, best }: Group,
): Promise<Pick<Knowledge, "title" | "text">> {
  if (model.name() === undefined) return best;
  const { likenessOf } = await import("@guildhall/knowledge");
  const values = ({ text }: Pick<Knowledge, "text">): string[] => {
    const { named, values: behind } = likenessOf({ text });
    return [...named, ...behind];
  };
  try {
    const said = answer.parse(await model.ask(INSTRUCTIONS, JSON.stringify(members.map(({ title, text }) => ({ title, text }))), signal));
    const known = new Set(members.flatMap(values));
    if (values(said).every((value) => known.has(value))) return said;
    journal.warn(`knowledge: ${best.id}: the model's words had a value that no session had; the best one's stay`);
  } catch (error) {
    if (signal.aborted) throw error;
    journal.warn(`knowledge: ${best.id}: joined without the model: ${GuildError.from(error).line}`);
  }
  return best;
}

const answer = z.object({ title: z.string().default(""), text: z.string().min(20).max(600) });
const INSTRUCTIONS = `Several sessions of a software engineer's assistant have noted much the same. Write the one fact that they share, in one or two sentences, with their exact values, paths and commands, and nothing that none of them says.
Answer: {"title": "three words", "text": "…"}`;
