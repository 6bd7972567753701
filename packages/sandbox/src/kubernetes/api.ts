import { readFile } from "node:fs/promises";
import { request as requestPlain, type ClientRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as requestSecure } from "node:https";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";

/** Where pods of a service account find what they need; the same in every cluster. */
const IN_CLUSTER = "/var/run/secrets/kubernetes.io/serviceaccount";
const IN_CLUSTER_API = "https://kubernetes.default.svc";

/** Longest silence of an API server before an answer. */
const PATIENCE_MS = 60_000;
const LARGEST_ANSWER = 16 * 2 ** 20;

export interface KubernetesApiOptions {
  /** Address of the API server; empty: that of the cluster in which this process runs. */
  api?: string;
  /** Directory with `token`, `ca.crt` and `namespace`, each of which may be absent; empty: that of the pod's service account. */
  credentials?: string;
  /** Empty: that of the credentials. */
  namespace?: string;
}

/** How a call is let in: read anew for each, since tokens of service accounts are replaced while a pod runs. */
export interface Access {
  headers: Record<string, string>;
  ca?: string;
}

/** The part of a Kubernetes API server's HTTP API that sandboxes need, in one namespace. */
export class KubernetesApi {
  readonly server: URL;
  readonly #credentials: string;
  readonly #namespace: string;

  /** Throws `invalid_argument`. */
  constructor(options: KubernetesApiOptions = {}) {
    const api = options.api || IN_CLUSTER_API;
    if (!URL.canParse(api) || !/^https?:$/.test(new URL(api).protocol)) {
      throw new GuildError("invalid_argument", `${api} is no address of a Kubernetes API server`, {
        subject: "sandbox.kubernetes_api",
        remedy: "write it as https://host:port, or leave it empty inside a cluster",
      });
    }
    this.server = new URL(api);
    this.#credentials = options.credentials || IN_CLUSTER;
    this.#namespace = options.namespace ?? "";
  }

  async namespace(): Promise<string> {
    return this.#namespace || (await this.#credential("namespace")) || "default";
  }

  async access(): Promise<Access> {
    const [token, ca] = await Promise.all([this.#credential("token"), this.#credential("ca.crt")]);
    return { headers: token === undefined ? {} : { authorization: `Bearer ${token}` }, ...(ca === undefined ? {} : { ca }) };
  }

  /** `path` from the group on, `{namespace}` in it filled in. Throws `not_found`, `permission_denied`, `unavailable`, `failed_precondition`. */
  async call(method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<unknown> {
    const response = await this.#open(method, path, body);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > LARGEST_ANSWER) throw new GuildError("internal", "the Kubernetes API server's answer is too large", { subject: path });
      chunks.push(chunk);
    }
    return await answerOf(response, Buffer.concat(chunks).toString("utf8"), `${method} ${path}`);
  }

  /** What a watch tells, until the server ends it, as it does from time to time. */
  async *watch(path: string, signal: AbortSignal): AsyncGenerator<{ type: string; object: unknown }> {
    const response = await this.#open("GET", path, undefined, signal);
    let text = "";
    for await (const chunk of response as AsyncIterable<Buffer>) {
      text += chunk.toString("utf8");
      if (response.statusCode !== 200) continue;
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") yield JSON.parse(line) as { type: string; object: unknown };
    }
    if (response.statusCode !== 200) await answerOf(response, text, `GET ${path}`);
  }

  async url(path: string): Promise<URL> {
    const url = new URL(this.server);
    const [pathname, search = ""] = path.replace("{namespace}", encodeURIComponent(await this.namespace())).split("?");
    url.pathname = url.pathname.replace(/\/$/, "") + pathname;
    url.search = search;
    return url;
  }

  async #open(method: string, path: string, body: unknown, signal?: AbortSignal): Promise<IncomingMessage> {
    const [url, { headers, ca }] = await Promise.all([this.url(path), this.access()]);
    const raw = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const options: RequestOptions & { ca?: string } = {
      method,
      agent: false,
      headers: {
        ...headers,
        accept: "application/json",
        ...(raw === undefined ? {} : { "content-type": "application/json", "content-length": raw.length }),
      },
      ...(ca === undefined ? {} : { ca }),
      ...(signal === undefined ? {} : { signal }),
    };
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const call: ClientRequest = (url.protocol === "https:" ? requestSecure : requestPlain)(url, options, resolve);
      const late = setTimeout(() => call.destroy(this.unreachable(new Error("no answer"))), PATIENCE_MS);
      call.on("response", () => clearTimeout(late));
      call.on("error", (error) => {
        clearTimeout(late);
        reject(this.unreachable(error));
      });
      call.end(raw);
    });
  }

  unreachable(error: Error): GuildError {
    if (GuildError.is(error)) return error;
    const { code } = error as NodeJS.ErrnoException;
    return new GuildError("unavailable", `the Kubernetes API server at ${this.server.origin} does not answer: ${code ?? error.message}`, {
      subject: this.server.origin,
      remedy: "set sandbox.kubernetes_api (outside a cluster: `kubectl proxy` and http://127.0.0.1:8001), or use --sandbox bubblewrap",
      cause: error,
    });
  }

  async #credential(name: string): Promise<string | undefined> {
    const text = await readFile(join(this.#credentials, name), "utf8").catch(() => ""); // not every place has all of them
    return text.trim() === "" ? undefined : text.trim();
  }
}

async function answerOf(response: IncomingMessage, text: string, subject: string): Promise<unknown> {
  const status = response.statusCode ?? 500;
  const parsed = parse(text);
  if (status < 400) return parsed;
  throw refusal(status, parsed, text, subject);
}

/** The server's own words (a `Status`), in one line. */
export function refusal(status: number, parsed: unknown, text: string, subject: string): GuildError {
  const { message } = (parsed ?? {}) as { message?: unknown };
  const line = (typeof message === "string" ? message : text).replaceAll(/\s+/g, " ").trim().slice(0, 500);
  const said = line === "" ? `status ${status}` : line;
  if (status === 401 || status === 403) {
    return new GuildError("permission_denied", `the Kubernetes API server does not let this worker: ${said}`, {
      subject,
      remedy: "give its service account the rights of deploy/chart/templates/sandboxes.yaml (sandboxes.kind=kubernetes)",
    });
  }
  const code = status === 404 ? "not_found" : status === 409 ? "already_exists" : status === 429 ? "resource_exhausted" : undefined;
  return new GuildError(code ?? (status >= 500 ? "unavailable" : "failed_precondition"), `the Kubernetes API server refused: ${said}`, {
    subject,
  });
}

function parse(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return undefined; // a proxy's page: the status says what there is to know
  }
}
