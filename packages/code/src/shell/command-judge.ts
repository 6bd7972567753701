import type { ActionRisk, CommandJudge } from "@guildhall/core";

import { createShellParser } from "./parser.ts";
import { judgeShell } from "./risk.ts";

/** Judgements kept: a call is judged at each decision until it has run. */
const KEPT = 128;
/** Longer scripts are not analysed: nobody who is asked could read them either. */
const LONGEST = 100_000;

/** The analysis of shell scripts from their syntax trees; takes about 40 ms to load. */
export async function createCommandJudge(): Promise<CommandJudge> {
  const parser = await createShellParser();
  const known = new Map<string, ActionRisk>();
  return {
    judge(script) {
      const before = known.get(script);
      if (before !== undefined) return before;
      if (script.length > LONGEST)
        throw new RangeError(`a script of ${script.length.toLocaleString("en")} characters is too long to analyse`);
      const judged = judgeShell(parser, script);
      if (known.size >= KEPT) known.clear();
      known.set(script, judged);
      return judged;
    },
  };
}
