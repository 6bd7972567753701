import { clone, create } from "@bufbuild/protobuf";
import { type Knowledge, KnowledgeSchema } from "@guildhall/protocol";

/** What a version says, without what the log knows of it. */
export function content(knowledge: Omit<Knowledge, "$typeName"> & { $typeName?: string }): Knowledge {
  const { id, title, text, key, tags, scope, evidence, confidence, author, pinned, validFrom, validTo } = knowledge;
  const written = create(KnowledgeSchema, { id, title, text, key, tags, evidence, confidence, author, pinned });
  if (scope !== undefined) written.scope = scope;
  if (validFrom !== undefined) written.validFrom = validFrom;
  if (validTo !== undefined) written.validTo = validTo;
  return clone(KnowledgeSchema, written);
}
