import type { SessionState, StepTrace } from "@guildhall/core";

/** `repeat`, `error`, `monologue`, `alternation` or `context`; ends up in `TurnEnded.detail` as `stuck:<rule>`. */
export type StuckRule = "repeat" | "error" | "monologue" | "alternation" | "context";

/**
 * The rule by which the latest steps go round in circles, if any. Pure. A person's message starts the count anew.
 *
 * - `repeat`: four steps with the same calls and the same observations;
 * - `error`: three steps with the same calls, all of which failed;
 * - `monologue`: three replies in a row without a call;
 * - `alternation`: two steps that take turns, three times each;
 * - `context`: history had to be dropped three times within six steps: what is done does not fit into the context.
 */
export function stuckRule(state: SessionState): StuckRule | undefined {
  const steps = state.recent;
  const [first = -Infinity, , last] = state.window.dropSteps;
  if (last === state.steps && last - first <= CONTEXT_LOOP_STEPS) return "context";
  const same = (a: StepTrace, b: StepTrace) => a.actions === b.actions && a.observations === b.observations;
  const acted = (step: StepTrace) => step.actions !== "";

  const three = steps.slice(-3);
  if (three.length === 3 && three.every((step) => acted(step) && step.error && step.actions === three[0]?.actions)) return "error";
  if (three.length === 3 && !three.some(acted)) return "monologue";

  const four = steps.slice(-4);
  if (four.length === 4 && four.every((step) => acted(step) && same(step, four[0] as StepTrace))) return "repeat";

  const six = steps.slice(-6);
  const [a, b] = six;
  if (six.length === 6 && a !== undefined && b !== undefined && acted(a) && acted(b) && !same(a, b)) {
    if (six.every((step, index) => same(step, index % 2 === 0 ? a : b))) return "alternation";
  }
  return undefined;
}

const CONTEXT_LOOP_STEPS = 6;
