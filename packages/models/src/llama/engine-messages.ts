/** What the process of a llama.cpp model is asked, and what it answers. */
export type EngineRequest = { id: number } & (
  | { kind: "generate"; generate: GenerateRequest }
  | { kind: "embed"; texts: string[] }
  /** Gives the request of that id up. */
  | { kind: "cancel" }
);

export interface GenerateRequest {
  messages: Array<{ role: "system" | "user" | "model"; text: string }>;
  /** GBNF that the text fits. */
  grammar: string | undefined;
  maxTokens: number;
  temperature: number;
}

export interface Generated {
  text: string;
  finish: "stop" | "length";
  inputTokens: number;
  /** Of these, what the last request had left computed. */
  cachedTokens: number;
  outputTokens: number;
}

export type EngineAnswer = { id: number } & (
  | { kind: "delta"; text: string }
  | { kind: "generated"; generated: Generated }
  | { kind: "embedded"; vectors: Float32Array[] }
  | { kind: "failed"; reason: EngineFault; message: string }
);

/** `load`: the model or the library cannot be loaded; `overflow`: the conversation is longer than the context; `grammar`: llama.cpp refuses it. */
export type EngineFault = "load" | "overflow" | "grammar" | "cancelled" | "failed";
