import { create } from "@bufbuild/protobuf";
import type { KnowledgeSource, Recollection } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import { FeedbackKind, type Knowledge, KnowledgeState, ScopeSchema } from "@guildhall/protocol";

import type { PartPlace } from "../parts/session-parts.ts";
import { type GlobalKnowledge, visibleScopes } from "./global.ts";

export interface SourceDeps {
  global: GlobalKnowledge;
  person: string;
  settings(): Settings["knowledge"];
}

/** What is known beyond a session, asked along with its memory; what it brings counts as shown to that session. */
export function knowledgeSource(deps: SourceDeps, place: PartPlace): KnowledgeSource {
  const { global, person, settings } = deps;
  const session = place.session?.session ?? "";
  const shown = new Set<string>();
  return {
    name: "what is known",
    async search(query, limit, signal) {
      const { replica, search } = await global.open();
      const project = await global.project(place.workspace);
      const scopes = visibleScopes(settings(), person.replace(/^person:/, ""), project).map((scope) => create(ScopeSchema, scope));
      const asker = { session: await global.pseudonym(session), project: project.name };
      const { found } = await search.find({ query, limit, scopes, quick: true, signal, ...asker });
      const fresh = found.flatMap(({ item }) => (item === undefined || shown.has(item.id) ? [] : [item.id]));
      for (const id of fresh) shown.add(id);
      // Not waited for: it changes nothing of this answer, and what fails of it is only a count.
      if (session !== "") replica.feedback(fresh, FeedbackKind.RETRIEVED, { actor: "system", ...asker }).catch(() => undefined);
      return found.flatMap(({ item, score }) => (item === undefined ? [] : [knownPiece(item, score)]));
    },
  };
}

/** A fact as a session's memory tells it. */
export function knownPiece(item: Knowledge, score: number): Recollection {
  const doubt = item.state === KnowledgeState.DOUBTFUL ? ", doubtful: what it rests on has changed" : "";
  const text = item.title === "" ? item.text : `${item.title}: ${item.text}`;
  return { id: item.id, text, source: `known${doubt}`, score };
}
