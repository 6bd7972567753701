import http from "node:http";

/** A model server on this machine that people commonly run. */
export interface LocalServer {
  title: string;
  /** Specification prefix of its models. */
  vendor: "ollama" | "llamacpp" | "lmstudio" | "vllm" | "tabbyapi" | "openai-compatible";
  /** Base URL where it usually answers. */
  baseUrl: string;
}

/** In the order in which they are taken when several answer. */
export const LOCAL_SERVERS: LocalServer[] = [
  { title: "llama.cpp", vendor: "llamacpp", baseUrl: "http://127.0.0.1:8080/v1" },
  { title: "Ollama", vendor: "ollama", baseUrl: "http://127.0.0.1:11434/v1" },
  { title: "LM Studio", vendor: "lmstudio", baseUrl: "http://127.0.0.1:1234/v1" },
  { title: "vLLM", vendor: "vllm", baseUrl: "http://127.0.0.1:8000/v1" },
  { title: "TabbyAPI", vendor: "tabbyapi", baseUrl: "http://127.0.0.1:5000/v1" },
];

/** How long a server on this machine may take to say which models it has, milliseconds. */
const PROBE_MS = 150;

/** The first server that answers with a list of models, and its first model; all are asked at once. Undefined when none does. */
export async function findLocalServer(servers: LocalServer[]): Promise<{ server: LocalServer; model: string; models: number } | undefined> {
  const found = await Promise.all(servers.map((server) => listModels(server.baseUrl)));
  for (const [index, server] of servers.entries()) {
    const models = found[index] ?? [];
    const [model] = models;
    if (model !== undefined) return { server, model, models: models.length };
  }
  return undefined;
}

/** Ids that `GET <base>/models` lists; undefined when nothing or something else answers there. */
export function listModels(baseUrl: string): Promise<string[] | undefined> {
  return new Promise((resolve) => {
    // Nothing that answers wrongly is an error here: another program has the port.
    const request = http.get(`${baseUrl}/models`, { agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > 1_000_000) request.destroy();
      });
      response.on("error", () => resolve(undefined));
      response.on("end", () => resolve(response.statusCode === 200 ? idsIn(Buffer.concat(chunks).toString("utf8")) : undefined));
    });
    const timer = setTimeout(() => request.destroy(), PROBE_MS);
    request.on("error", () => resolve(undefined));
    request.on("close", () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
}

function idsIn(body: string): string[] | undefined {
  try {
    const { data } = JSON.parse(body) as { data?: unknown };
    if (!Array.isArray(data)) return undefined;
    const ids = data.flatMap((entry: unknown) => {
      const id = typeof entry === "object" && entry !== null ? (entry as Record<string, unknown>)["id"] : undefined;
      return typeof id === "string" ? [id] : [];
    });
    // Embedding models are listed among the others and cannot answer.
    return ids.filter((id) => !/embed/i.test(id));
  } catch {
    // Something else answers there.
    return undefined;
  }
}
