import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { isMasked, type Item, itemsInView, type Observation, type ReplyItem, type SessionState, type Window } from "@guildhall/core";
import { ActionStatus, type PromptMessage, PromptMessageSchema, PromptRole } from "@guildhall/protocol";

import { type ContextBudget, room } from "./condense.ts";
import { failureNotice, ORPHANED } from "./notices.ts";
import { boundText } from "./tools/index.ts";
import { markUntrusted } from "./untrusted.ts";

/** Steps rendered before, so that a prompt costs what is new in it. One for a run; the result is the same without it. */
export type Rendered = WeakMap<ReplyItem, RenderedStep>;

interface RenderedStep {
  window: Window;
  model: string;
  observations: Array<Observation | undefined>;
  messages: PromptMessage[];
}

/** Stands where two of the agent's replies would follow each other, and where nobody has spoken yet. */
const GO_ON = "Go on.";
/** The static tier of a log that has none. */
const NO_SYSTEM_PROMPT = "You are a software engineer. Use the tools to reach the person's goal.";
/** What an empty observation reads as. */
const NO_OUTPUT = "(no output)";

/**
 * What the model is shown. Pure, and a valid request whatever the history: first the system prompt, then user and assistant messages
 * beginning and ending with one that is not the assistant's; none empty; no two user messages or calls-free replies in a row; each call
 * followed by exactly one observation before anything else. A message that a reply had not seen comes after the observations of that reply.
 * The system prompt and the last message carry the cache mark: all before a step's last message stays the same bytes in the next step.
 */
export function view(state: SessionState, budget: ContextBudget, rendered: Rendered = new WeakMap()): PromptMessage[] {
  const systemPrompt = state.info.systemPrompt.trim() === "" ? NO_SYSTEM_PROMPT : state.info.systemPrompt;
  const system = create(PromptMessageSchema, { role: PromptRole.SYSTEM, text: systemPrompt, cache: true });
  const { bytes, needed } = room(state, budget);
  const whole = conversation(state, rendered);
  const messages = needed > bytes ? fit(whole, bytes - Buffer.byteLength(systemPrompt)) : whole;
  const last = messages.at(-1);
  if (last !== undefined) messages[messages.length - 1] = { ...last, cache: true };
  return [system, ...messages];
}

function conversation(state: SessionState, rendered: Rendered): PromptMessage[] {
  const messages: PromptMessage[] = [];
  const user = (text: string) => {
    const last = messages.at(-1);
    if (last?.role === PromptRole.USER) messages[messages.length - 1] = { ...last, text: `${last.text}\n\n${text}` };
    else messages.push(message({ role: PromptRole.USER, text }));
  };

  if (state.window.summary !== "") user(`<summary>\n${state.window.summary}\n</summary>`);
  let waiting: Array<Exclude<Item, ReplyItem>> = [];
  const say = (throughSeq: number) => {
    for (const item of waiting) {
      const text = item.seq <= throughSeq ? spoken(item) : "";
      if (text !== "") user(text);
    }
    waiting = waiting.filter((item) => item.seq > throughSeq);
  };
  for (const item of itemsInView(state)) {
    if (item.kind !== "reply") {
      waiting.push(item);
      continue;
    }
    say(item.seenSeq);
    if (item.text.trim() === "" && item.calls.length === 0) continue;
    const before = messages.at(-1);
    if (before === undefined || before.role === PromptRole.ASSISTANT) user(GO_ON);
    messages.push(...step(state, item, rendered));
  }
  say(Infinity);
  const last = messages.at(-1);
  if (last === undefined || last.role === PromptRole.ASSISTANT) user(GO_ON);
  return messages;
}

function spoken(item: Exclude<Item, ReplyItem>): string {
  switch (item.kind) {
    case "message":
      return item.text.trim();
    case "notice":
      return item.text.trim() === "" ? "" : `<notice>${item.text}</notice>`;
    case "failure":
      return `<notice>${failureNotice(item.failure, item.text)}</notice>`;
    default:
      return item satisfies never;
  }
}

/** A reply with the observations of its calls. */
function step(state: SessionState, item: ReplyItem, rendered: Rendered): PromptMessage[] {
  const { window } = state;
  const { model } = state.info;
  const observations = item.calls.map((call) => state.observations.find(call.callId));
  const known = rendered.get(item);
  const same = known?.window === window && known.model === model && observations.every((one, place) => one === known.observations[place]);
  if (same) return known.messages;
  const messages = [reply(item, item.model === model)];
  for (const [place, call] of item.calls.entries()) {
    const observation = observations[place];
    if (observation === undefined) messages.push(message({ ...toolMessage(call), text: ORPHANED, isError: true }));
    else messages.push(isMasked(window, observation) ? masked(observation) : observed(observation));
  }
  rendered.set(item, { window, model, observations, messages });
  return messages;
}

/** What only the model that wrote it understands is left out once the session has changed to another. */
function reply(item: ReplyItem, sameModel: boolean): PromptMessage {
  return message({
    role: PromptRole.ASSISTANT,
    text: item.text,
    reasoning: sameModel ? item.reasoning : "",
    providerData: sameModel ? item.providerData : "",
    toolCalls: item.calls.map(({ callId, tool, arguments: args }) => ({ callId, tool, arguments: args })),
  });
}

function observed(observation: Observation): PromptMessage {
  const { output, untrusted, images } = observation;
  const text = output === "" ? NO_OUTPUT : output;
  const marked = untrusted === "" ? text : markUntrusted(text, untrusted);
  return message({ ...toolMessage(observation), text: marked, images: [...images], isError: observation.status !== ActionStatus.OK });
}

function masked(observation: Observation): PromptMessage {
  const text = `[${observation.bytes.toLocaleString("en")} bytes of output left out to save room]`;
  return message({ ...toolMessage(observation), text, isError: observation.status !== ActionStatus.OK });
}

function toolMessage(call: { callId: string; tool: string }): { role: PromptRole; callId: string; tool: string } {
  return { role: PromptRole.TOOL, callId: call.callId, tool: call.tool };
}

/**
 * Shortens what is longest until the whole fits: observations and what people said get head and tail, arguments too long to send become
 * a remark. Only met when the steps that condensation must leave are themselves too large.
 */
function fit(messages: PromptMessage[], most: number): PromptMessage[] {
  for (let cap = 32_768; cap >= 256 && total(messages) > most; cap /= 2) {
    const limit = cap;
    messages = messages.map((one) => {
      if (size(one) <= limit) return one;
      const toolCalls = one.toolCalls.map((call) =>
        Buffer.byteLength(call.arguments) <= limit
          ? call
          : { ...call, arguments: JSON.stringify({ omitted: "too long to be shown again" }) },
      );
      return { ...one, text: boundText(one.text, limit / 2), reasoning: "", providerData: "", toolCalls, images: [] };
    });
  }
  return messages;
}

function total(messages: PromptMessage[]): number {
  return messages.reduce((sum, one) => sum + size(one), 0);
}

function size(one: PromptMessage): number {
  const calls = one.toolCalls.reduce((sum, call) => sum + Buffer.byteLength(call.arguments), 0);
  return Buffer.byteLength(one.text) + Buffer.byteLength(one.reasoning) + Buffer.byteLength(one.providerData) + calls;
}

function message(init: MessageInitShape<typeof PromptMessageSchema>): PromptMessage {
  return create(PromptMessageSchema, init);
}
