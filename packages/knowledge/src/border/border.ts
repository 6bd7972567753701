import { clone, create } from "@bufbuild/protobuf";
import type { SecretScanner } from "@guildhall/core";
import { type Knowledge, KnowledgeSchema, ScopeKind, ScopeSchema } from "@guildhall/protocol";

import { findPersonalData, type PersonalDataOptions } from "./personal-data.ts";

export interface BorderOptions extends PersonalDataOptions {
  scanner: Pick<SecretScanner, "scan">;
  /** Distinct sessions that must have learned an item before it may be wider than its project. Default 3. */
  leastSessions?: number;
}

/** What may leave a session, and what was done to it. */
export interface Passed {
  /** Undefined: held back whole. */
  item: Knowledge | undefined;
  outcome: "passed" | "redacted" | "held back";
  /** `secret:<rule>`, `person:<kind>`, `scope`, `too few sessions`: how often each; never what was found. */
  reasons: Map<string, number>;
}

/** Shares of a text that may be taken out before what is left is worth nothing. */
const MOST_REDACTED = 0.5;

/**
 * The border between a session and what others may see. Secrets go from everything, personal data from what is wider than the person; what is left is what is stored, embedded and
 * sent. What a session learned stays in its project until enough sessions have learned it; a person's own word goes where the person says.
 */
export function cross(item: Knowledge, project: string, options: BorderOptions): Passed {
  const reasons = new Map<string, number>();
  const left = clone(KnowledgeSchema, item);
  const personal = item.scope?.kind !== ScopeKind.USER;
  let taken = 0;
  const clean = (text: string): string => {
    const done = redact(text, { ...options, personal });
    taken += done.taken;
    for (const [rule, count] of done.reasons) reasons.set(rule, (reasons.get(rule) ?? 0) + count);
    return done.text;
  };
  left.text = clean(item.text);
  if (taken > item.text.length * MOST_REDACTED) return { item: undefined, outcome: "held back", reasons };
  left.title = clean(item.title);
  left.key = clean(item.key);
  left.tags = item.tags.map(clean);
  for (const { kind } of left.evidence) {
    if (kind.case === "command") kind.value.command = clean(kind.value.command);
    else if (kind.case === "file") kind.value.path = clean(kind.value.path);
    else if (kind.case === "url") kind.value = clean(kind.value);
  }
  const redacted = reasons.size > 0;
  const wide = item.scope?.kind === ScopeKind.TEAM || item.scope?.kind === ScopeKind.GLOBAL;
  if (wide && !item.author.startsWith("person:") && sessionsOf(item) < (options.leastSessions ?? 3)) {
    reasons.set("too few sessions", 1);
    if (project === "") return { item: undefined, outcome: "held back", reasons };
    left.scope = create(ScopeSchema, { kind: ScopeKind.PROJECT, id: project });
  }
  return { item: left, outcome: redacted ? "redacted" : "passed", reasons };
}

/** A text without secrets and, where it is `personal` to leave them out, without personal data; marks stand in their place. `taken`: characters. */
export function redact(
  text: string,
  options: Omit<BorderOptions, "leastSessions"> & { personal: boolean },
): { text: string; taken: number; reasons: Map<string, number> } {
  const secrets = options.scanner.scan(text).map((one) => ({ ...one, rule: `secret:${one.rule}`, mark: "[secret]" }));
  const people = options.personal
    ? findPersonalData(text, options).map((one) => ({ ...one, rule: `person:${one.rule}`, mark: `[${one.rule}]` }))
    : [];
  const reasons = new Map<string, number>();
  let [result, at, taken] = ["", 0, 0];
  for (const one of [...secrets, ...people].toSorted((x, y) => x.start - y.start || y.end - x.end)) {
    if (one.start < at) continue;
    result += text.slice(at, one.start) + one.mark;
    at = one.end;
    taken += one.end - one.start;
    reasons.set(one.rule, (reasons.get(one.rule) ?? 0) + 1);
  }
  return { text: result + text.slice(at), taken, reasons };
}

/** Distinct sessions among an item's evidence. */
export function sessionsOf(item: Knowledge): number {
  return new Set(item.evidence.flatMap(({ kind }) => (kind.case === "events" ? [kind.value.sessionId] : []))).size;
}

/**
 * A count as others may see it: with two-sided geometric noise (the Laplace mechanism on whole numbers, Ghosh et al. 2009), never below 0. The same
 * count of the same thing gives the same number, so that asking often tells no more.
 */
export function noisyCount(count: number, name: string, epsilon = 1): number {
  let hash = 0x811c9dc5 ^ count;
  for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  const draw = (): number => {
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39) + 0x6d2b79f5;
    return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32;
  };
  const geometric = (): number => Math.floor(Math.log(1 - draw()) / -epsilon);
  return Math.max(0, count + geometric() - geometric());
}
