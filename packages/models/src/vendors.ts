/** How a service is spoken to. */
export type Protocol = "anthropic" | "openai-responses" | "openai-chat" | "google" | "azure" | "bedrock" | "compatible";

/** A provider of models that is reached over HTTP. */
export interface Vendor {
  name: string;
  /** For people. */
  title: string;
  protocol: Protocol;
  /** Environment variables that hold its key, the usual one first; empty: it needs none. */
  keys: string[];
  /** A key must be there; false: one is sent where there is one. */
  keyRequired: boolean;
  /** Where it answers; undefined: the caller has to say. */
  baseUrl: string | undefined;
  /** Its name in the price table; undefined: what it serves costs nothing or is not known. */
  prices: string | undefined;
  /** Runs on the user's own machine: smaller contexts, no price, slow first replies. */
  local: boolean;
  /** How a model that it does not have is got, or seen. */
  modelRemedy: string;
  /** The model to take when the caller named none; undefined: ask the service. */
  preferred: string | undefined;
  /** How it gives embeddings: OpenAI's form (at `embeddingsUrl`, else its usual address), or Ollama's own; undefined: it has none. */
  embeddings?: "openai" | "ollama";
  embeddingsUrl?: string;
  /** Commands that start such a server on this machine, `<model>` standing for one that can call functions. */
  start?: string[];
}

const VENDORS: Vendor[] = [
  {
    name: "anthropic",
    title: "Anthropic",
    protocol: "anthropic",
    keys: ["ANTHROPIC_API_KEY"],
    keyRequired: true,
    baseUrl: "https://api.anthropic.com/v1",
    prices: "anthropic",
    local: false,
    modelRemedy: "look the name up at https://docs.anthropic.com/en/docs/about-claude/models",
    preferred: "claude-sonnet-5",
  },
  {
    name: "openai",
    embeddings: "openai",
    title: "OpenAI",
    protocol: "openai-responses",
    keys: ["OPENAI_API_KEY"],
    keyRequired: true,
    baseUrl: "https://api.openai.com/v1",
    prices: "openai",
    local: false,
    modelRemedy: "look the name up at https://platform.openai.com/docs/models",
    preferred: "gpt-5.5",
  },
  {
    name: "openai-chat",
    title: "OpenAI (chat completions)",
    protocol: "openai-chat",
    keys: ["OPENAI_API_KEY"],
    keyRequired: true,
    baseUrl: "https://api.openai.com/v1",
    prices: "openai",
    local: false,
    modelRemedy: "look the name up at https://platform.openai.com/docs/models",
    preferred: undefined,
  },
  {
    name: "google",
    embeddings: "openai",
    embeddingsUrl: "https://generativelanguage.googleapis.com/v1beta/openai",
    title: "Google",
    protocol: "google",
    keys: ["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"],
    keyRequired: true,
    baseUrl: "https://generativelanguage.googleapis.com/v1beta",
    prices: "google",
    local: false,
    modelRemedy: "look the name up at https://ai.google.dev/gemini-api/docs/models",
    preferred: "gemini-3.5-flash",
  },
  {
    name: "openrouter",
    embeddings: "openai",
    title: "OpenRouter",
    protocol: "compatible",
    keys: ["OPENROUTER_API_KEY"],
    keyRequired: true,
    baseUrl: "https://openrouter.ai/api/v1",
    prices: "openrouter",
    local: false,
    modelRemedy: "look the name up at https://openrouter.ai/models",
    preferred: "anthropic/claude-sonnet-5",
  },
  {
    name: "openai-compatible",
    embeddings: "openai",
    title: "OpenAI-compatible server",
    protocol: "compatible",
    // Never OPENAI_API_KEY: that one is for OpenAI and not for whoever answers at a URL.
    keys: ["OPENAI_COMPATIBLE_API_KEY"],
    keyRequired: false,
    baseUrl: undefined,
    prices: undefined,
    local: false,
    modelRemedy: "ask the server which models it has: GET <base URL>/models",
    preferred: undefined,
  },
  {
    name: "ollama",
    embeddings: "ollama",
    title: "Ollama",
    protocol: "compatible",
    keys: [],
    keyRequired: false,
    baseUrl: "http://127.0.0.1:11434/v1",
    prices: undefined,
    local: true,
    modelRemedy: "get it with: ollama pull <model>",
    preferred: undefined,
    start: ["OLLAMA_CONTEXT_LENGTH=32768 ollama serve", "ollama pull <model>"],
  },
  {
    name: "azure",
    embeddings: "openai",
    title: "Azure OpenAI",
    protocol: "azure",
    keys: ["AZURE_OPENAI_API_KEY"],
    keyRequired: true,
    baseUrl: undefined,
    prices: "openai",
    local: false,
    modelRemedy: "name a deployment of the resource: azure/<deployment>",
    preferred: undefined,
  },
  {
    name: "bedrock",
    title: "Amazon Bedrock",
    protocol: "bedrock",
    keys: ["AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID"],
    keyRequired: true,
    baseUrl: "https://bedrock-runtime.us-east-1.amazonaws.com",
    prices: "aws",
    local: false,
    modelRemedy: "see which models the account may use: aws bedrock list-foundation-models",
    preferred: undefined,
  },
  {
    name: "llamacpp",
    embeddings: "openai",
    title: "llama.cpp",
    protocol: "compatible",
    keys: [],
    keyRequired: false,
    baseUrl: "http://127.0.0.1:8080/v1",
    prices: undefined,
    local: true,
    modelRemedy: "start its server with a model: llama-server -m <model>.gguf --jinja",
    preferred: undefined,
    start: ["llama-server -m <model>.gguf --jinja -c 32768"],
  },
  {
    name: "vllm",
    embeddings: "openai",
    title: "vLLM",
    protocol: "compatible",
    keys: [],
    keyRequired: false,
    baseUrl: "http://127.0.0.1:8000/v1",
    prices: undefined,
    local: true,
    modelRemedy: "start it with that model: vllm serve <model>",
    preferred: undefined,
    start: ["vllm serve <model> --enable-auto-tool-choice --tool-call-parser hermes --max-model-len 32768"],
  },
  {
    name: "lmstudio",
    embeddings: "openai",
    title: "LM Studio",
    protocol: "compatible",
    keys: [],
    keyRequired: false,
    baseUrl: "http://127.0.0.1:1234/v1",
    prices: undefined,
    local: true,
    modelRemedy: "load it: lms load <model>",
    preferred: undefined,
    start: ["lms server start", "lms load <model> --context-length 32768"],
  },
  {
    name: "tabbyapi",
    embeddings: "openai",
    title: "TabbyAPI (ExLlama)",
    protocol: "compatible",
    keys: ["TABBY_API_KEY"],
    keyRequired: false,
    baseUrl: "http://127.0.0.1:5000/v1",
    prices: undefined,
    local: true,
    modelRemedy: "load it: put it into its models folder and name it as model_name in config.yml",
    preferred: undefined,
    start: ["python start.py --model-name <model> --max-seq-len 32768 --tool-format hermes"],
  },
];

/** The provider of that name, or undefined. */
export function vendorNamed(name: string): Vendor | undefined {
  return VENDORS.find((vendor) => vendor.name === name);
}

export function vendorNames(): string[] {
  return VENDORS.map((vendor) => vendor.name);
}

/** All of them, in the order in which they are shown. */
export function allVendors(): readonly Vendor[] {
  return VENDORS;
}

/** Providers in the order in which a key at hand makes one the choice. */
export function preferredVendors(): Vendor[] {
  return VENDORS.filter((vendor) => vendor.preferred !== undefined);
}

/** The first of the provider's keys that is among `credentials`, with the variable it came from. */
export function keyOf(vendor: Vendor, credentials: Record<string, string>): { variable: string; value: string } | undefined {
  for (const variable of vendor.keys) {
    const value = credentials[variable]?.trim();
    if (value !== undefined && value !== "") return { variable, value };
  }
  return undefined;
}
