import type { PromptMessage, ToolCall } from "@guildhall/protocol";

/**
 * Calls whose id is missing, or was used before in this conversation, get another from `next` (given how often it was asked for this call): some local servers
 * count from the start in each reply, and an observation must find its call.
 */
export function withOwnIds(calls: ToolCall[], messages: PromptMessage[], next: (call: ToolCall, time: number) => string): ToolCall[] {
  if (calls.length === 0) return calls;
  const used = new Set<string>();
  for (const message of messages) for (const call of message.toolCalls) used.add(call.callId);
  return calls.map((call) => {
    let callId = call.callId;
    for (let time = 1; callId === "" || used.has(callId); time++) callId = next(call, time);
    used.add(callId);
    return callId === call.callId ? call : { ...call, callId };
  });
}
