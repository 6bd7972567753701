import { create } from "@bufbuild/protobuf";
import { type Finding, FindingLevel, FindingSchema } from "@guildhall/protocol";

import type { MachineFinding } from "./machine-finding.ts";

/** The doctor's findings as messages. */
export function toFindings(findings: MachineFinding[]): Finding[] {
  const levels = { ok: FindingLevel.OK, warning: FindingLevel.WARNING, problem: FindingLevel.PROBLEM };
  return findings.map(({ id, level, text, remedy }) => create(FindingSchema, { id, level: levels[level], text, remedy }));
}
