import { clone } from "@bufbuild/protobuf";
import { GuildError } from "@guildhall/core";
import { type Knowledge, KnowledgeSchema, ScopeKind } from "@guildhall/protocol";

/** Characters of one fact: what is longer is a document, and belongs cut up. */
const LONGEST = 32_000;
const SCOPES: ReadonlySet<ScopeKind> = new Set([ScopeKind.USER, ScopeKind.PROJECT, ScopeKind.TEAM, ScopeKind.GLOBAL]);
const MOST_TAGS = 50;
const MOST_EVIDENCE = 200;

/** The fact as it may be written; throws `invalid_argument` for what cannot be. Missing confidence is 0.5. */
export function checked(knowledge: Knowledge): Knowledge {
  const fact = clone(KnowledgeSchema, knowledge);
  fact.text = fact.text.trim().toWellFormed();
  fact.title = fact.title.trim().toWellFormed();
  const wrong = (message: string, remedy: string): GuildError => new GuildError("invalid_argument", message, { remedy });
  if (fact.text === "") throw wrong("a fact without text", "say what is known");
  if (fact.text.length > LONGEST) throw wrong(`a fact of ${fact.text.length} characters`, `cut it up: at most ${LONGEST}`);
  if (fact.title.length > 300 || fact.key.length > 300) throw wrong("a title or key of more than 300 characters", "make it shorter");
  if (fact.tags.length > MOST_TAGS || fact.evidence.length > MOST_EVIDENCE) {
    throw wrong("too many tags or pieces of evidence", `at most ${MOST_TAGS} and ${MOST_EVIDENCE}`);
  }
  const kind = fact.scope?.kind ?? ScopeKind.UNSPECIFIED;
  if (!SCOPES.has(kind)) throw wrong("an unknown scope", "user, project, team or global");
  if (kind !== ScopeKind.GLOBAL && (fact.scope?.id ?? "") === "")
    throw wrong("a scope without its name", "say which user, project or team");
  if (!(fact.confidence >= 0 && fact.confidence <= 1)) throw wrong("a confidence outside of 0 to 1", "give a number from 0 to 1");
  if (fact.confidence === 0) fact.confidence = 0.5;
  return fact;
}
