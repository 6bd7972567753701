import { FeedbackKind, type Knowledge, KnowledgeState } from "@guildhall/protocol";

import { writtenAt } from "./hybrid-clock.ts";
import { type Item, presentPut } from "./item.ts";

/** When items leave by themselves. */
export interface GlobalRetention {
  /** Items that stay findable; beyond, the least worth goes cold. */
  maxItems: number;
  /** What is worth less than this goes cold once it is older than `minAgeMs`. */
  leastWorth: number;
  minAgeMs: number;
  /** How long a forgotten or cold item can be brought back. */
  graceMs: number;
}

const DAY = 24 * 60 * 60 * 1000;
export const GLOBAL_RETENTION: GlobalRetention = { maxItems: 50_000, leastWorth: 0.2, minAgeMs: 90 * DAY, graceMs: 30 * DAY };

/** Named parts of a worth, each the share that it brings. */
export interface Worth {
  /** 0 to 1; use raises it, time lowers it. */
  score: number;
  parts: Array<{ name: string; value: number; text: string }>;
}

const HALF_LIFE = 45 * DAY;

/** What an item is worth now. Pure: the same knowledge and time give the same. */
export function worthOf(item: Item, knowledge: Knowledge, now: number): Worth {
  const last = Math.max(writtenAt(presentPut(item)), ...item.uses.filter((use) => counts(use.kind)).map((use) => use.at));
  const age = Math.max(0, now - last);
  const recency = 2 ** (-age / HALF_LIFE);
  const used = item.uses.reduce((sum, use) => sum + (weights[use.kind] ?? 0) * 2 ** (-Math.max(0, now - use.at) / (4 * HALF_LIFE)), 0);
  const use = used <= 0 ? 0 : used / (used + 3);
  const evidence = knowledge.evidence.length / (knowledge.evidence.length + 2);
  const dismissed = item.uses.filter((one) => one.kind === FeedbackKind.DISMISSED).length;
  const doubt = knowledge.state === KnowledgeState.DOUBTFUL ? 1 : 0;
  const parts = [
    { name: "recency", value: 0.3 * recency, text: `last written or used ${days(age)} ago, halves in ${days(HALF_LIFE)}` },
    { name: "use", value: 0.3 * use, text: usesOf(item) },
    { name: "confidence", value: 0.25 * Math.min(1, Math.max(0, knowledge.confidence)), text: `${knowledge.confidence}` },
    { name: "evidence", value: 0.15 * evidence, text: `${knowledge.evidence.length} pieces` },
    { name: "dismissed", value: -0.1 * Math.min(3, dismissed), text: `${dismissed} times` },
    { name: "doubt", value: -0.2 * doubt, text: doubt === 1 ? "what it rests on has changed" : "none" },
  ];
  return {
    score: Math.min(
      1,
      Math.max(
        0,
        parts.reduce((sum, part) => sum + part.value, 0),
      ),
    ),
    parts,
  };
}

/** How much each kind of use counts: shown is not used. */
export const weights: Partial<Record<FeedbackKind, number>> = {
  [FeedbackKind.RETRIEVED]: 0.1,
  [FeedbackKind.USED]: 1,
  [FeedbackKind.CONFIRMED]: 2,
  [FeedbackKind.DISMISSED]: -1,
};

function counts(kind: FeedbackKind): boolean {
  return kind === FeedbackKind.USED || kind === FeedbackKind.CONFIRMED;
}

function usesOf({ uses }: Item): string {
  const confirmed = uses.filter((one) => one.kind === FeedbackKind.CONFIRMED).length;
  const all = `${uses.filter((one) => counts(one.kind)).length} uses`;
  return confirmed === 0 ? all : `${all}, ${confirmed} confirmed`;
}

export function confirmations(item: Item): number {
  return new Set(item.uses.filter((use) => use.kind === FeedbackKind.CONFIRMED).map((use) => use.session)).size;
}

/** Why an item stays whatever it is worth; empty: it stands by its worth. */
export function heldBecause(item: Item, options: { now: number; unsynchronised: boolean; cited: boolean }): string {
  if (item.pinned) return "pinned";
  if (options.unsynchronised) return "another replica has not got it yet";
  if (options.cited) return "another item cites it";
  const recent = item.uses.some((use) => counts(use.kind) && options.now - use.at < 30 * DAY);
  return recent ? "used in the last 30 days" : "";
}

function days(ms: number): string {
  return ms < DAY ? `${Math.round(ms / (DAY / 24))} h` : `${Math.round(ms / DAY)} days`;
}
