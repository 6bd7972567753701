import { FeedbackKind } from "@guildhall/protocol";

import type { Item, Use } from "./item.ts";
import { weights } from "./worth.ts";

/** For whom it is ranked; pseudonyms as in the uses. */
export interface Asker {
  session?: string;
  role?: string;
  project?: string;
}

const DAY = 24 * 60 * 60 * 1000;
const HALF_LIFE = 30 * DAY;
/** Sessions that must have used two items before their likeness counts in full. */
const SHRINK = 2;
const NEIGHBOURS = 30;

/**
 * Collaborative filtering by items (Sarwar et al. 2001) over implicit feedback with time decay: what was of use to sessions that used the same. A session that has used nothing yet
 * is taken for those of its project and role. Made anew when feedback has come; its cost is that of the feedback alone.
 */
export class Collaborative {
  /** Weight by item, by session. */
  readonly #sessions = new Map<string, Map<string, number>>();
  readonly #items = new Map<string, Map<string, number>>();
  readonly #groups = new Map<string, Set<string>>();

  constructor(items: Iterable<Item>, now: number) {
    for (const item of items) {
      for (const use of item.uses) this.#take(item.id, use, now);
    }
  }

  /** −1 to 1 for each candidate that something is known of; none for an asker of whom nothing is known. */
  scores(candidates: readonly string[], asker: Asker): Map<string, number> {
    const profile = this.#profile(asker);
    const scores = new Map<string, number>();
    if (profile.size === 0) return scores;
    const known = [...profile].toSorted((x, y) => Math.abs(y[1]) - Math.abs(x[1])).slice(0, NEIGHBOURS);
    for (const candidate of candidates) {
      let sum = 0;
      let total = 0;
      for (const [item, weight] of known) {
        if (item === candidate) continue;
        const likeness = this.#likeness(item, candidate);
        sum += likeness * weight;
        total += Math.abs(weight);
      }
      if (sum !== 0 && total > 0) scores.set(candidate, Math.max(-1, Math.min(1, sum / total)));
    }
    return scores;
  }

  #take(item: string, use: Use, now: number): void {
    const weight = (weights[use.kind] ?? 0) * 2 ** (-Math.max(0, now - use.at) / HALF_LIFE);
    // A cosine does not see how much: what was only shown beside another would be as like it as what was used with it.
    if (use.session === "" || weight === 0 || use.kind === FeedbackKind.RETRIEVED) return;
    add(this.#sessions, use.session, item, weight);
    add(this.#items, item, use.session, weight);
    for (const group of groupsOf(use)) {
      const members = this.#groups.get(group) ?? new Set();
      this.#groups.set(group, members.add(use.session));
    }
  }

  #profile(asker: Asker): ReadonlyMap<string, number> {
    const own = this.#sessions.get(asker.session ?? "");
    if (own !== undefined && own.size > 0) return own;
    const profile = new Map<string, number>();
    const [closest] = groupsOf({ role: asker.role ?? "", project: asker.project ?? "" }).filter((group) => this.#groups.has(group));
    for (const session of this.#groups.get(closest ?? "") ?? []) {
      for (const [item, weight] of this.#sessions.get(session) ?? []) profile.set(item, (profile.get(item) ?? 0) + weight / 2);
    }
    return profile;
  }

  /** Cosine of their users, less where few used both. */
  #likeness(x: string, y: string): number {
    const [a, b] = [this.#items.get(x), this.#items.get(y)];
    if (a === undefined || b === undefined) return 0;
    let dot = 0;
    let both = 0;
    for (const [session, weight] of a) {
      const other = b.get(session);
      if (other === undefined) continue;
      dot += weight * other;
      both += 1;
    }
    if (both === 0) return 0;
    return (dot / (length(a) * length(b))) * (both / (both + SHRINK));
  }
}

/** Most telling first. */
function groupsOf({ role, project }: Pick<Use, "role" | "project">): string[] {
  return [
    ...(role !== "" && project !== "" ? [`${project}\0${role}`] : []),
    ...(project === "" ? [] : [`${project}\0`]),
    ...(role === "" ? [] : [`\0${role}`]),
  ];
}

function add(map: Map<string, Map<string, number>>, key: string, inner: string, weight: number): void {
  const row = map.get(key) ?? new Map<string, number>();
  row.set(inner, (row.get(inner) ?? 0) + weight);
  map.set(key, row);
}

function length(row: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const value of row.values()) sum += value * value;
  return Math.sqrt(sum);
}
