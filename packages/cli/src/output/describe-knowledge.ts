import { timestampDate } from "@bufbuild/protobuf/wkt";
import { type Knowledge, KnowledgeState, ScopeKind } from "@guildhall/protocol";

import { oneLine, type Style } from "./style.ts";

/** One line for a list. */
export function knowledgeLine(item: Knowledge, style: Style): string {
  const title = item.title === "" ? "" : `${style.bold(oneLine(item.title, 80))}: `;
  const state = item.state === KnowledgeState.VALID ? "" : style.warn(`  (${states[item.state] ?? ""})`);
  return `${style.dim(item.id)}  ${title}${oneLine(item.text, 300)}${state}`;
}

/** All of it, with what it rests on. */
export function describeKnowledge(item: Knowledge, style: Style): string[] {
  const facts = [`${item.id}, version ${item.version}`, states[item.state] ?? "", ...(item.pinned ? ["pinned"] : [])].join(", ");
  const more = [...(item.key === "" ? [] : [`about ${item.key}`]), ...(item.tags.length === 0 ? [] : [item.tags.join(", ")])];
  return [
    `${style.bold(item.title === "" ? item.id : item.title)}  ${style.dim(facts)}`,
    item.text,
    style.dim([scopeText(item), `by ${item.author}`, `confidence ${item.confidence}`, ...more].join(" · ")),
    ...item.evidence.map((one) => `  evidence: ${evidenceText(one)}`),
  ];
}

function scopeText({ scope }: Knowledge): string {
  const name = Object.entries(scopeKinds).find(([, kind]) => kind === scope?.kind)?.[0] ?? "no scope";
  return scope?.id === "" || scope === undefined ? name : `${name} ${scope.id}`;
}

function evidenceText({ kind }: Knowledge["evidence"][number]): string {
  switch (kind.case) {
    case "events":
      return `session ${kind.value.sessionId}, events ${kind.value.seqs.join(", ")}`;
    case "file":
      return `file ${kind.value.path}${kind.value.firstLine > 0 ? `:${kind.value.firstLine}-${kind.value.lastLine}` : ""} ${kind.value.digest.slice(0, 19)}`;
    case "command":
      return `command ${oneLine(kind.value.command, 200)} → exit code ${kind.value.exitCode}`;
    case "url":
      return kind.value;
    default:
      return "unknown";
  }
}

/** For `--json`. */
export function knowledgeJson(item: Knowledge): Record<string, unknown> {
  const times = { valid_from: item.validFrom, valid_to: item.validTo, recorded_from: item.recordedFrom, recorded_to: item.recordedTo };
  return {
    id: item.id,
    type: "knowledge",
    version: item.version,
    title: item.title,
    text: item.text,
    key: item.key,
    tags: item.tags,
    scope: scopeText(item),
    evidence: item.evidence.map(evidenceText),
    confidence: item.confidence,
    author: item.author,
    state: states[item.state] ?? "",
    pinned: item.pinned,
    ...Object.fromEntries(
      Object.entries(times).map(([name, value]) => [name, value === undefined ? null : timestampDate(value).toISOString()]),
    ),
  };
}

/** Words for what has become of an item. */
export const states: Partial<Record<KnowledgeState, string>> = {
  [KnowledgeState.VALID]: "valid",
  [KnowledgeState.DOUBTFUL]: "doubtful",
  [KnowledgeState.SUPERSEDED]: "superseded",
  [KnowledgeState.FORGOTTEN]: "forgotten",
  [KnowledgeState.COLD]: "cold",
};
/** Scopes by their names on the command line. */
export const scopeKinds: Partial<Record<string, ScopeKind>> = {
  user: ScopeKind.USER,
  project: ScopeKind.PROJECT,
  team: ScopeKind.TEAM,
  global: ScopeKind.GLOBAL,
};
