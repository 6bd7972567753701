import { hash } from "node:crypto";

import { canonicalJson } from "../canonical-json.ts";
import type { ProposedAction } from "../ports/safety.ts";

/** Names exactly one action: the tool, its arguments however they are spelt, and the workspace. What an approval holds for. */
export function actionDigest(action: Pick<ProposedAction, "tool" | "arguments" | "workspace">): string {
  const { tool, workspace } = action;
  return `sha256:${hash("sha256", canonicalJson({ tool, arguments: action.arguments, workspace }), "hex")}`;
}
