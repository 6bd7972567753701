import { create } from "@bufbuild/protobuf";
import { type Delta, DeltaSchema } from "@guildhall/protocol";

export type DeltaKind = { text: string } | { reasoning: string } | { output: string; callId: string } | { waiting: string };

/**
 * What of a session has been told and is in no event yet: what it waits for, the reply that is being written, and the output of the calls
 * of its step. Who begins to watch is told it first, because what was said before does not come again: a command may print one line and
 * then nothing for minutes. Bounded: of each text and output the end is kept, and outputs of the latest calls.
 */
export class UnderWay {
  #waiting: string | undefined;
  #text = "";
  #reasoning = "";
  readonly #outputs = new Map<string, string>();

  note(kind: DeltaKind): void {
    if ("waiting" in kind) {
      this.#waiting = kind.waiting;
      // What was being written is an event by now, or is written anew.
      this.#text = this.#reasoning = "";
      if (kind.waiting === "model") this.#outputs.clear();
    } else if ("text" in kind) this.#text = joined(this.#text, kind.text);
    else if ("reasoning" in kind) this.#reasoning = joined(this.#reasoning, kind.reasoning);
    else {
      this.#outputs.set(kind.callId, joined(this.#outputs.get(kind.callId) ?? "", kind.output));
      const [first] = this.#outputs.keys();
      if (this.#outputs.size > mostOutputs && first !== undefined) this.#outputs.delete(first);
    }
  }

  /**
   * All of it, or what one who has been told `known` has not heard: more of the same, or what begins anew and then the whole. `anything`: nobody knows
   * what he has been told.
   */
  told(known: UnderWay | "anything" = new UnderWay()): Delta[] {
    const before = known === "anything" ? new UnderWay() : known;
    const other =
      this.#waiting !== before.#waiting || !this.#text.startsWith(before.#text) || !this.#reasoning.startsWith(before.#reasoning);
    const over = known === "anything" || [...before.#outputs.keys()].some((callId) => !this.#outputs.has(callId));
    // Who hears what a session waits for takes it that text begins anew, and where that is the model that outputs are over.
    const waits = over ? ["model"] : [];
    if ((over || other) && this.#waiting !== undefined && !(over && this.#waiting === "model")) waits.push(this.#waiting);
    const text = waits.length === 0 ? before : new UnderWay();
    const outputs = waits.includes("model") ? new UnderWay() : before;
    const rest: DeltaKind[] = [
      ...beyond(this.#reasoning, text.#reasoning).map((reasoning) => ({ reasoning })),
      ...beyond(this.#text, text.#text).map((said) => ({ text: said })),
      ...[...this.#outputs].flatMap(([callId, so]) => beyond(so, outputs.#outputs.get(callId) ?? "").map((output) => ({ callId, output }))),
    ];
    return this.#waiting === undefined && rest.length === 0 ? [] : [...waits.map((waiting) => ({ waiting })), ...rest].map(toDelta);
  }
}

/** What another has told, as it was published there. */
export function kindOf({ kind }: Delta): DeltaKind | undefined {
  switch (kind.case) {
    case "text":
      return { text: kind.value };
    case "reasoning":
      return { reasoning: kind.value };
    case "waiting":
      return { waiting: kind.value };
    case "output":
      return { callId: kind.value.callId, output: kind.value.text };
    default:
      return undefined; // of a newer version
  }
}

export function toDelta(kind: DeltaKind): Delta {
  if ("text" in kind) return create(DeltaSchema, { kind: { case: "text", value: kind.text } });
  if ("reasoning" in kind) return create(DeltaSchema, { kind: { case: "reasoning", value: kind.reasoning } });
  if ("waiting" in kind) return create(DeltaSchema, { kind: { case: "waiting", value: kind.waiting } });
  return create(DeltaSchema, { kind: { case: "output", value: { callId: kind.callId, text: kind.output } } });
}

/** Text that is shown while it comes; of more than this only the end is. */
const longestText = 32_768;
/** Calls of one step whose output is kept. */
const mostOutputs = 16;

/** Cut seldom, so that many small pieces cost no more than their length. */
function joined(before: string, text: string): string {
  const whole = before + text;
  return whole.length > 2 * longestText ? whole.slice(-longestText) : whole;
}

function beyond(now: string, known: string): string[] {
  const rest = now.startsWith(known) ? now.slice(known.length) : now;
  return rest === "" ? [] : [rest.slice(-longestText)];
}
