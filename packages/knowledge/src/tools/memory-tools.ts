import type { SessionMemory, Tool } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

/** Tokens that one recall may bring. */
const RECALL_TOKENS = 2_000;

/** `recall`, `remember` and `forget` over a session's memory. What they did stands in the data of their results, from which the log rebuilds it. */
export function createMemoryTools(memory: SessionMemory): Tool[] {
  return [recallTool(memory), rememberTool(memory), forgetTool(memory)];
}

const recallSchema = z.strictObject({
  query: z.string().min(1).describe("What to look for: the words that it was probably said in"),
  limit: z.int().min(1).max(20).optional().describe("Most pieces. Default 8"),
});

function recallTool(memory: SessionMemory): Tool<typeof recallSchema> {
  return {
    name: "recall",
    description:
      "Search what this session and the workshop know: earlier messages, outputs, decisions, remembered facts. Use it before asking or redoing.",
    schema: recallSchema,
    source: "built-in",
    risk: () => Risk.LOW,
    resources: () => [{ name: "memory:session", access: "read" }],
    repeatable: () => true,
    async execute({ query, limit }, { signal }) {
      const found = await memory.recall({ query, tokens: RECALL_TOKENS, signal, ...(limit === undefined ? {} : { limit }) });
      const notes = found.degraded.map((one) => `(Not asked: ${one})`);
      const output = [found.text === "" ? "Nothing relevant is known." : found.text, ...notes].join("\n");
      return { status: "ok", output, data: { recalled: found.items.map(({ id, source }) => ({ id, source })) } };
    },
  };
}

const rememberSchema = z.strictObject({
  text: z.string().min(1).max(4_000).describe("One fact or decision, understandable by itself"),
  title: z.string().max(200).optional(),
  pin: z.boolean().optional().describe("Never drop it. Default false"),
});

function rememberTool(memory: SessionMemory): Tool<typeof rememberSchema> {
  return {
    name: "remember",
    description: "Keep a fact or decision for later in this session, after the conversation has been shortened.",
    schema: rememberSchema,
    source: "built-in",
    risk: () => Risk.LOW,
    resources: () => [{ name: "memory:session", access: "write" }],
    repeatable: () => true,
    async execute({ text, title, pin = false }, { callId }) {
      if (text.trim() === "") return { status: "error", output: "There is nothing to remember: the text is blank." };
      const kept = { text, pinned: pin, ...(title === undefined ? {} : { title }) };
      const own = `m_${callId}`;
      const { id } = memory.remember(own, text, kept);
      return id === own
        ? { status: "ok", output: `Remembered as ${id}.`, data: { remembered: { id, ...kept } } }
        : { status: "ok", output: `Known already, as ${id}.`, data: { known: id } };
    },
  };
}

const forgetSchema = z.strictObject({ id: z.string().describe("As recall shows it in brackets") });

function forgetTool(memory: SessionMemory): Tool<typeof forgetSchema> {
  return {
    name: "forget",
    description: "Drop a piece of memory that is wrong or out of date.",
    schema: forgetSchema,
    source: "built-in",
    risk: () => Risk.LOW,
    resources: () => [{ name: "memory:session", access: "write" }],
    // A second time it would be an error.
    repeatable: () => false,
    async execute({ id }) {
      const forgotten = memory.forget(id);
      return forgotten
        ? { status: "ok", output: `Forgotten: ${id}.`, data: { forgotten: id } }
        : { status: "error", output: `There is no piece ${id} in this session's memory.` };
    },
  };
}
