import { GuildError } from "@guildhall/core";
import type {
  CallToolResult,
  Client,
  ClientOptions,
  CreateMessageRequestParams,
  CreateMessageResult,
  ElicitResult,
  JSONRPCMessage,
  JsonSchemaValidator,
  jsonSchemaValidator,
  Tool,
  Transport,
} from "@modelcontextprotocol/client";

import { oneLine } from "../foreign/line.ts";
import { applyDefaults, type ElicitationRequest } from "./elicitation.ts";

/** How one server is reached: a fresh transport for each attempt. `fault` tells why it is gone, where it knows better than the SDK. */
export interface McpLink {
  open(): Promise<{ transport: Transport; fault?(): string | undefined }>;
  /** The server is a process at the other end of a pipe: servers of former days may end at a question they do not know. */
  readonly pipe: boolean;
}

export interface McpConnectionOptions {
  name: string;
  link: McpLink;
  /** Of one request, milliseconds; progress begins it anew, ten times of it end it all the same. */
  timeoutMs: number;
  /** Absolute path of the workspace, told to servers that ask for roots. */
  workspace?: string;
  version: string;
  /** What a server asks the person in the middle of a call. Default: it is told that nobody answers. */
  elicit?(request: ElicitationRequest): Promise<ElicitResult>;
  /** What a server wants a model to write. Default: it is told that there is none. */
  sample?(params: CreateMessageRequestParams): CreateMessageResult;
  /** The server's tools have changed, or it is gone. */
  changed?(): void;
}

/** What a stranger's schema makes of a stranger's result is told by `mcpTools` in bounded time; its expressions are not run here. */
const unchecked: jsonSchemaValidator = {
  getValidator<T>(): JsonSchemaValidator<T> {
    return (data) => ({ valid: true, data: data as T, errorMessage: undefined });
  },
};

/** More failures in a row than this end the matter for the session. */
const MOST_FAILURES = 3;
/** Pages of a list, and tools of one server. */
const MOST_PAGES = 16;
const MOST_TOOLS = 1_000;
/** A program that is asked how new it is and does not answer is an old one, milliseconds. At an address it may only be slow to wake. */
const PROBE_MS = 5_000;
/** One that has not answered a call in time must at least answer this fast, milliseconds. */
const ALIVE_MS = 5_000;

/**
 * One MCP server for one session: connects when it is first needed, again when the server has died, three times in a row at most. What goes wrong
 * is thrown as a GuildError that names the server: `unavailable`, `deadline_exceeded`, `unauthenticated`, `resource_exhausted`.
 */
export class McpConnection {
  readonly name: string;
  readonly #options: McpConnectionOptions;
  #current: Promise<Connected> | undefined;
  #failures = 0;
  #tools: Tool[] = [];
  #refused: string[] = [];
  #refreshing: { again: boolean; done: Promise<void> } | undefined;
  #closed = false;

  constructor(options: McpConnectionOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Those that the server listed last. */
  get tools(): readonly Tool[] {
    return this.#tools;
  }

  /** Resolves when the list is as new as the server's last notice. */
  async refreshed(): Promise<void> {
    await this.#refreshing?.done;
  }

  /** Names of those that the server described in a way that cannot be understood. */
  get refused(): readonly string[] {
    return this.#refused;
  }

  /** Connects and lists the tools. */
  async connect(signal?: AbortSignal): Promise<Client> {
    if (this.#closed) throw new GuildError("cancelled", `${this.name}: the session is over`);
    if (this.#current === undefined && this.#failures >= MOST_FAILURES) {
      throw new GuildError("unavailable", `MCP server ${this.name} failed ${MOST_FAILURES} times in a row and is left alone`, {
        subject: this.name,
        remedy: `guild mcp test ${this.name}`,
      });
    }
    const pending = (this.#current ??= this.#open());
    const { client } = await untilAborted(pending, signal);
    return client;
  }

  async call(
    tool: string,
    args: Record<string, unknown>,
    options: { signal: AbortSignal; progress(text: string): void },
  ): Promise<CallToolResult> {
    return await this.request(
      (client, limits) =>
        client.callTool(
          { name: tool, arguments: args },
          {
            ...limits,
            resetTimeoutOnProgress: true,
            maxTotalTimeout: this.#options.timeoutMs * 10,
            onprogress: ({ progress, total, message }) => {
              const share = total === undefined ? String(progress) : `${progress} of ${total}`;
              options.progress(`${message === undefined ? share : `${share}: ${message}`}\n`);
            },
          },
        ),
      options.signal,
    );
  }

  /** Any request, with the server's name in what goes wrong. */
  async request<T>(ask: (client: Client, limits: { timeout: number; signal: AbortSignal }) => Promise<T>, signal: AbortSignal): Promise<T> {
    const client = await this.connect(signal);
    const connected = await this.#current;
    try {
      const answer = await ask(client, { timeout: this.#options.timeoutMs, signal });
      this.#failures = 0;
      return answer;
    } catch (error) {
      signal.throwIfAborted();
      const explained = await this.#explain(error, connected?.fault);
      if (explained.code === "deadline_exceeded") await this.#endIfStuck(client);
      throw explained;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const current = this.#current;
    this.#current = undefined;
    // What never connected needs no end.
    const connected = await current?.catch(() => undefined);
    await connected?.client.close();
  }

  async #open(): Promise<Connected> {
    try {
      try {
        return await this.#attempt("auto");
      } catch (error) {
        if (!this.#options.link.pipe || GuildError.is(error, "not_found")) throw error;
        return await this.#attempt("legacy");
      }
    } catch (error) {
      this.#current = undefined;
      this.#failures += 1;
      throw error;
    }
  }

  async #attempt(mode: "auto" | "legacy"): Promise<Connected> {
    const { Client } = await import("@modelcontextprotocol/client");
    const { link, sample, timeoutMs, version, workspace } = this.#options;
    const options: ClientOptions = {
      capabilities: {
        elicitation: { form: {} },
        ...(workspace === undefined ? {} : { roots: {} }),
        ...(sample === undefined ? {} : { sampling: {} }),
      },
      versionNegotiation: { mode, probe: { timeoutMs: link.pipe ? Math.min(timeoutMs, PROBE_MS) : timeoutMs } },
      listMaxPages: MOST_PAGES,
      listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => this.#refresh(client) } },
      jsonSchemaValidator: unchecked,
    };
    const client = new Client({ name: "guildhall", version }, options);
    client.setRequestHandler("elicitation/create", async ({ params }) => {
      if (!("requestedSchema" in params)) return { action: "decline" };
      const request: ElicitationRequest = { server: this.name, message: params.message, schema: params.requestedSchema };
      const answer = (await this.#options.elicit?.(request)) ?? { action: "cancel" as const };
      return answer.action === "accept" ? applyDefaults(answer, request) : answer;
    });
    if (sample !== undefined) client.setRequestHandler("sampling/createMessage", ({ params }) => sample(params));
    if (workspace !== undefined) {
      client.setRequestHandler("roots/list", () => ({ roots: [{ uri: `file://${encodeURI(workspace)}`, name: "workspace" }] }));
    }
    let fault: (() => string | undefined) | undefined;
    try {
      const { transport, fault: told } = await link.open();
      fault = told;
      this.#refused = [];
      // Called before the client's own handler; one bad tool is not to cost all the others.
      transport.onmessage = (message) => this.#refused.push(...dropUnusable(message));
      await client.connect(transport, { timeout: timeoutMs });
      const { tools } = await client.listTools(undefined, { timeout: timeoutMs });
      this.#tools = tools.slice(0, MOST_TOOLS);
    } catch (error) {
      const why = await this.#explain(error, fault);
      await client.close().catch(() => undefined); // The failure that is thrown is the one that counts.
      throw why;
    }
    client.onclose = () => {
      this.#current = undefined;
      if (this.#closed) return;
      this.#failures += 1;
      this.#options.changed?.();
    };
    this.#options.changed?.();
    return { client, fault };
  }

  /** Lists the tools again, once for however many notices come meanwhile. */
  #refresh(client: Client): void {
    const before = this.#refreshing;
    if (before !== undefined) {
      before.again = true;
      return;
    }
    const own = { again: false, done: Promise.resolve() };
    this.#refreshing = own;
    own.done = (async () => {
      try {
        do {
          own.again = false;
          const { tools } = await client.listTools(undefined, { timeout: this.#options.timeoutMs, cacheMode: "refresh" });
          this.#tools = tools.slice(0, MOST_TOOLS);
          this.#options.changed?.();
        } while (own.again);
      } catch {
        // A server that cannot list its tools keeps those that it had; if it is gone, the next call tells.
      } finally {
        this.#refreshing = undefined;
      }
    })();
  }

  /** A program that answers nothing at all any more is ended; the next call starts it anew. What is only slow goes on. */
  async #endIfStuck(client: Client): Promise<void> {
    if (!this.#options.link.pipe) return;
    try {
      await client.listTools(undefined, { timeout: Math.min(this.#options.timeoutMs, ALIVE_MS), cacheMode: "refresh" });
    } catch {
      // Whatever it says by now: it is of no use.
      await client.close().catch(() => undefined); // It may have ended meanwhile.
    }
  }

  async #explain(error: unknown, fault: (() => string | undefined) | undefined): Promise<GuildError> {
    const { SdkError, SdkErrorCode, ProtocolError, UnauthorizedError } = await import("@modelcontextprotocol/client");
    const subject = this.name;
    const server = `MCP server ${subject}`;
    const why = fault?.();
    if (why !== undefined) return new GuildError("unavailable", `${server}: ${why}`, { subject, cause: error });
    const refused = error instanceof SdkError && error.code === SdkErrorCode.ClientHttpAuthentication;
    if (refused || error instanceof UnauthorizedError) {
      return new GuildError("unauthenticated", `${server} asks for a sign-in`, {
        subject,
        remedy: `guild mcp login ${subject}`,
        cause: error,
      });
    }
    if (error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout) {
      return new GuildError("deadline_exceeded", `${server} did not answer within ${this.#options.timeoutMs / 1000} s`, {
        subject,
        cause: error,
      });
    }
    if (error instanceof ProtocolError)
      return new GuildError("invalid_argument", `${server} refuses: ${error.message}`, { subject, cause: error });
    if (GuildError.is(error)) return new GuildError(error.code, `${server}: ${error.line}`, { subject, cause: error });
    const cause = error instanceof Error && GuildError.is(error.cause) ? error.cause.line : undefined;
    return new GuildError("unavailable", `${server}: ${cause ?? (error instanceof Error ? error.message : String(error))}`, {
      subject,
      cause: error,
    });
  }
}

interface Connected {
  client: Client;
  fault: (() => string | undefined) | undefined;
}

/** Takes tools without a name, or with a schema that is none, out of an answer; returns what they are called. */
function dropUnusable(message: JSONRPCMessage): string[] {
  const { tools } = ("result" in message ? message.result : {}) as { tools?: unknown };
  if (!Array.isArray(tools)) return [];
  const all = tools as Array<{ name?: unknown; inputSchema?: { type?: unknown }; description?: unknown } | null>;
  const usable = all.filter(
    (one) => typeof one?.name === "string" && typeof (one.description ?? "") === "string" && one.inputSchema?.type === "object",
  );
  const refused = all
    .filter((one) => !usable.includes(one))
    .map((one) => (typeof one?.name === "string" ? oneLine(one.name, 60) : "(no name)"));
  tools.splice(0, tools.length, ...usable);
  return refused;
}

/** The promise goes on for others when this caller has had enough. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  const stopped = Promise.withResolvers<never>();
  const stop = (): void => stopped.reject(GuildError.from(signal.reason));
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await Promise.race([promise, stopped.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
