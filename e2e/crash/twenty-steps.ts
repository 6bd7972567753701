import type { FakeReply } from "@guildhall/core/testing";

/** How many steps leave a mark. */
export const STEPS = 20;

/** Where each step leaves its number, a line a time that it ran. */
const EFFECTS = "effects.log";

export const GOAL = "Leave twenty marks.";

/**
 * What the model says: twenty steps, each with a command that must not run twice; some with further calls beside it, one with an output that goes to the
 * blob store; then the end.
 */
export const replies: FakeReply[] = [
  ...Array.from({ length: STEPS }, (_, index): FakeReply => {
    const step = index + 1;
    const mark = `echo ${step} >> ${EFFECTS}`;
    const beside =
      step % 7 === 0
        ? [
            { tool: "edit", args: { command: "create", path: `notes/${step}.txt`, file_text: `step ${step}\n` } },
            { tool: "search", args: { pattern: "nothing here" } },
          ]
        : [];
    const command = step === 10 ? `${mark}; seq 1 9000` : `${mark}; echo step ${step}`;
    return { text: `Step ${step}.`, calls: [{ tool: "bash", args: { command } }, ...beside] };
  }),
  { calls: [{ tool: "finish", args: { done: true, summary: "twenty marks" } }] },
];

/** The step whose command this call is; undefined for other calls. */
export function stepOf(call: { tool: string; arguments: string }): number | undefined {
  const mark = /echo (\d+) >> /.exec(call.arguments)?.[1];
  return call.tool === "bash" && mark !== undefined ? Number(mark) : undefined;
}
