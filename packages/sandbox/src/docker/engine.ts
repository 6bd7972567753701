import { request } from "node:http";

import { GuildError } from "@guildhall/core";

const DEFAULT_ENGINE = "unix:///var/run/docker.sock";

/** Longer silences of an engine than this mean that it is stuck; waiting for a container's end is not counted. */
const PATIENCE_MS = 120_000;

/** Most that is read of one answer. */
const LARGEST_ANSWER = 16 * 2 ** 20;

export interface EngineRequest {
  /** Sent as JSON; a buffer is sent as it is. */
  body?: unknown;
  /** The answer may take as long as it likes. */
  patient?: boolean;
}

/** The HTTP API of a Docker engine (or one that speaks it, as Podman's service does) behind its Unix socket, in the newest version that it has. */
export class DockerEngine {
  readonly host: string;
  readonly #socket: string;

  /** `host` as in DOCKER_HOST. Throws `unsupported` for engines elsewhere: they cannot see this machine's workspaces. */
  constructor(host: string = DEFAULT_ENGINE) {
    this.host = host === "" ? DEFAULT_ENGINE : host;
    const path = this.host.startsWith("/") ? this.host : /^unix:\/\/(\/.+)$/.exec(this.host)?.[1];
    if (path === undefined) {
      throw new GuildError("unsupported", `the Docker engine must be on this machine, behind a Unix socket: ${this.host} is not`, {
        subject: this.host,
        remedy: "set sandbox.docker_host to unix:///path/to/docker.sock",
      });
    }
    this.#socket = path;
  }

  get(path: string): Promise<unknown> {
    return this.#call("GET", path, {});
  }

  post(path: string, options: EngineRequest = {}): Promise<unknown> {
    return this.#call("POST", path, options);
  }

  put(path: string, options: EngineRequest): Promise<unknown> {
    return this.#call("PUT", path, options);
  }

  delete(path: string): Promise<unknown> {
    return this.#call("DELETE", path, {});
  }

  /** The text of an answer that is a stream of objects, one a line. */
  async lines(path: string, options: EngineRequest): Promise<string> {
    const { status, text } = await this.#exchange("POST", path, options);
    if (status >= 400) throw refusal(status, text, `POST ${path.split("?")[0]}`);
    return text;
  }

  /** Whether the engine has what a path names. */
  async has(path: string): Promise<boolean> {
    const { status, text } = await this.#exchange("HEAD", path, {});
    if (status >= 400 && status !== 404) throw refusal(status, text, `HEAD ${path.split("?")[0]}`);
    return status < 400;
  }

  /** The text of an answer that is no object. */
  async text(path: string): Promise<string> {
    const { status, text } = await this.#exchange("GET", path, {});
    if (status >= 400) throw refusal(status, text, `GET ${path.split("?")[0]}`);
    return text;
  }

  async #call(method: string, path: string, options: EngineRequest): Promise<unknown> {
    const { status, text } = await this.#exchange(method, path, options);
    if (status >= 400) throw refusal(status, text, `${method} ${path.split("?")[0]}`);
    // What comes as a stream of objects (progress of an import) is of no use to us.
    const parsed = parse(text);
    return parsed;
  }

  #exchange(method: string, path: string, { body, patient }: EngineRequest): Promise<{ status: number; text: string }> {
    const raw = body === undefined ? undefined : Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    const type = Buffer.isBuffer(body) ? "application/x-tar" : "application/json";
    return new Promise((resolve, reject) => {
      const call = request(
        {
          socketPath: this.#socket,
          method,
          path,
          agent: false,
          headers: { host: "docker", ...(raw === undefined ? {} : { "content-type": type, "content-length": raw.length }) },
        },
        (response) => {
          const chunks: Buffer[] = [];
          let size = 0;
          response.on("data", (chunk: Buffer) => {
            size += chunk.length;
            if (size <= LARGEST_ANSWER) chunks.push(chunk);
            else call.destroy(new GuildError("internal", "the Docker engine's answer is too large", { subject: path }));
          });
          response.on("end", () => resolve({ status: response.statusCode ?? 500, text: Buffer.concat(chunks).toString("utf8") }));
          response.on("error", (error) => reject(this.#unreachable(error)));
        },
      );
      if (patient !== true) {
        call.setTimeout(PATIENCE_MS, () => {
          call.destroy(
            new GuildError("deadline_exceeded", `the Docker engine has not answered for ${PATIENCE_MS / 1000} s`, { subject: this.host }),
          );
        });
      }
      call.on("error", (error) => reject(this.#unreachable(error)));
      call.end(raw);
    });
  }

  #unreachable(error: Error): GuildError {
    if (GuildError.is(error)) return error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EACCES" || code === "EPERM") {
      return new GuildError("permission_denied", `you may not use the Docker engine at ${this.host}`, {
        subject: this.host,
        remedy: "have yourself added to the group docker, or use --sandbox bubblewrap",
        cause: error,
      });
    }
    const why =
      code === "ENOENT" || code === "ECONNREFUSED"
        ? "no Docker engine is running"
        : `the Docker engine does not answer (${code ?? error.message})`;
    return new GuildError("failed_precondition", `${why} at ${this.host}`, {
      subject: this.host,
      remedy: "start it (systemctl start docker), set sandbox.docker_host, or use --sandbox bubblewrap",
      cause: error,
    });
  }
}

/** The engine's own words, in one line. */
function refusal(status: number, text: string, subject: string): GuildError {
  const said = parse(text) as { message?: unknown } | undefined;
  const message = typeof said?.message === "string" ? said.message : text;
  const line = message.replaceAll(/\s+/g, " ").trim().slice(0, 500);
  const code = status === 404 ? "not_found" : status === 409 ? "already_exists" : "failed_precondition";
  return new GuildError(code, `the Docker engine refused: ${line === "" ? `status ${status}` : line}`, { subject });
}

function parse(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return undefined; // a stream of objects, or no JSON at all: the status says what there is to know
  }
}
