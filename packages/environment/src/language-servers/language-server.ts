import { pathToFileURL } from "node:url";

import { type Execution, GuildError, type Sandbox } from "@guildhall/core";

import { Data } from "../project/read-data.ts";
import { frame, MessageStream, type RpcMessage } from "./message-stream.ts";

/** One thing a server says about a place in a file. Lines and columns count from 1. */
export interface Diagnostic {
  line: number;
  column: number;
  severity: "error" | "warning" | "information" | "hint";
  message: string;
  code: string;
  source: string;
}

export interface StartOptions {
  sandbox: Pick<Sandbox, "exec" | "workspace">;
  argv: [string, ...string[]];
  env: Readonly<Record<string, string>>;
  settings: Readonly<Record<string, unknown>>;
  /** How long it may take to be ready, milliseconds. */
  startMs: number;
}

const SEVERITIES = ["error", "warning", "information", "hint"] as const;
const MOST_DIAGNOSTICS = 500;
/** What a server tells twice of one text comes within this time, milliseconds. */
const TOGETHER_MS = 100;

interface OpenDocument {
  version: number;
  text: string;
  /** Number of pushes when this text was told. */
  pushesBefore: number;
  /** Somebody has waited for the server to look at it. */
  waited: boolean;
}

/** A running server and the documents it knows. What it cannot do is an error that says so, never an empty answer. */
export class LanguageServer {
  readonly #execution: Execution;
  readonly #workspace: string;
  readonly #settings: Readonly<Record<string, unknown>>;
  readonly #stream = new MessageStream();
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: GuildError): void }>();
  readonly #open = new Map<string, OpenDocument>();
  readonly #pushed = new Map<string, { version: number | undefined; items: Diagnostic[]; push: number }>();
  #pushes = 0;
  #pushWaiters: Array<() => void> = [];
  #capabilities = new Data(undefined);
  #count = 0;
  #stderr = "";
  /** Why it is of no more use; undefined: it runs. */
  ended: string | undefined;

  /** Throws `unavailable` when it does not start, with what it said. */
  static async start(options: StartOptions): Promise<LanguageServer> {
    const { sandbox, argv, env } = options;
    const execution = await sandbox.exec({ argv, env: { ...env }, input: true, limits: { wallSeconds: 0, cpuSeconds: 0 } });
    const server = new LanguageServer(execution, options);
    try {
      await server.#initialize(options.startMs);
      return server;
    } catch (error) {
      await server.close();
      throw new GuildError("unavailable", `${argv[0]} did not start: ${GuildError.from(error).message}${server.#said()}`, { cause: error });
    }
  }

  private constructor(execution: Execution, { sandbox, settings }: StartOptions) {
    this.#execution = execution;
    this.#workspace = sandbox.workspace;
    this.#settings = settings;
    this.#read().then(
      () => this.#end("it ended"),
      (error: unknown) => this.#end(GuildError.from(error).message),
    );
  }

  /** Whether the server says that it can; `referencesProvider`, … */
  can(capability: string): boolean {
    const value = this.#capabilities.at(capability).value;
    return value !== undefined && value !== false && value !== null;
  }

  /** Tells the server the text of a file, if it is another than it knows. */
  async sync(path: string, text: string, languageId: string): Promise<void> {
    const uri = uriOf(path);
    const known = this.#open.get(uri);
    if (known?.text === text) return;
    const version = (known?.version ?? 0) + 1;
    this.#open.set(uri, { version, text, pushesBefore: this.#pushes, waited: known?.waited ?? false });
    if (known === undefined) await this.#notify("textDocument/didOpen", { textDocument: { uri, languageId, version, text } });
    else await this.#notify("textDocument/didChange", { textDocument: { uri, version }, contentChanges: [{ text }] });
    await this.#notify("textDocument/didSave", { textDocument: { uri }, text });
  }

  /** What it finds wrong in a file that it knows: pulled where it can be, else the next that it pushes. Throws `deadline_exceeded` when nothing comes. */
  async diagnostics(path: string, ms: number): Promise<Diagnostic[]> {
    const uri = uriOf(path);
    if (this.can("diagnosticProvider")) {
      const report = new Data(await this.request("textDocument/diagnostic", { textDocument: { uri } }, ms));
      return diagnosticsOf(report.at("items"));
    }
    const until = performance.now() + ms;
    for (;;) {
      if (this.ended !== undefined) throw this.#gone();
      const [pushed, open] = [this.#pushed.get(uri), this.#open.get(uri)];
      if (pushed !== undefined && pushed.version === undefined && pushed.push > (open?.pushesBefore ?? 0)) {
        // Not told of which text: the last of those that come together is of the present one.
        await this.#nextPush(TOGETHER_MS);
        return this.#pushed.get(uri)?.items ?? [];
      }
      if (pushed?.version !== undefined && pushed.version === open?.version) return pushed.items;
      const left = until - performance.now();
      if (left <= 0) throw new GuildError("deadline_exceeded", "the language server has said nothing about this file yet");
      await this.#nextPush(left);
    }
  }

  /**
   * Whether the server has looked at a file that it knows; waits for it, the first time. A server that is asked for its diagnostics looks when it is
   * asked; one that tells them by itself has looked when it first tells any, none included.
   */
  async hasLooked(path: string, ms: number): Promise<boolean> {
    const uri = uriOf(path);
    const open = this.#open.get(uri);
    if (open === undefined || open.waited || this.can("diagnosticProvider")) return true;
    open.waited = true;
    const until = performance.now() + ms;
    while (!this.#pushed.has(uri) && this.ended === undefined) {
      const left = until - performance.now();
      if (left <= 0) return false;
      await this.#nextPush(left);
    }
    return true;
  }

  #nextPush(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#pushWaiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Throws `deadline_exceeded`, `unavailable` when the server has ended, `failed_precondition` with what it says is wrong. */
  async request(method: string, params: unknown, ms: number): Promise<unknown> {
    if (this.ended !== undefined) throw this.#gone();
    const id = ++this.#count;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    const timer = setTimeout(() => {
      answer.reject(new GuildError("deadline_exceeded", `the language server did not answer ${method} within ${Math.round(ms / 1000)} s`));
      this.#notify("$/cancelRequest", { id }).catch(() => undefined); // it has ended: that is told elsewhere
    }, ms);
    try {
      await this.#send({ id, method, params });
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  async close(): Promise<void> {
    this.#end("it was closed");
    await this.#execution.close();
  }

  async #initialize(ms: number): Promise<void> {
    const rootUri = uriOf(this.#workspace);
    const dynamic = { dynamicRegistration: false };
    const result = await this.request(
      "initialize",
      {
        processId: null,
        clientInfo: { name: "guildhall" },
        rootUri,
        workspaceFolders: [{ uri: rootUri, name: "workspace" }],
        initializationOptions: this.#settings,
        capabilities: {
          general: { positionEncodings: ["utf-16"] },
          workspace: { configuration: true, workspaceFolders: true, applyEdit: false, workspaceEdit: { documentChanges: true } },
          textDocument: {
            synchronization: { ...dynamic, didSave: true },
            publishDiagnostics: { versionSupport: true },
            diagnostic: dynamic,
            definition: dynamic,
            references: dynamic,
            hover: { ...dynamic, contentFormat: ["plaintext", "markdown"] },
            documentSymbol: { ...dynamic, hierarchicalDocumentSymbolSupport: true },
            callHierarchy: dynamic,
            rename: { ...dynamic, prepareSupport: false },
            codeAction: {
              ...dynamic,
              codeActionLiteralSupport: { codeActionKind: { valueSet: ["quickfix", "refactor", "source"] } },
              resolveSupport: { properties: ["edit"] },
            },
            formatting: dynamic,
            completion: { ...dynamic, completionItem: { snippetSupport: false } },
            signatureHelp: dynamic,
          },
        },
      },
      ms,
    );
    this.#capabilities = new Data(result).at("capabilities");
    await this.#notify("initialized", {});
  }

  async #read(): Promise<void> {
    for await (const { stream, bytes } of this.#execution.output) {
      if (stream === "stderr") this.#stderr = (this.#stderr + Buffer.from(bytes).toString("utf8")).slice(-2_000);
      else for (const message of this.#stream.push(bytes)) await this.#take(message);
    }
  }

  async #take(message: RpcMessage): Promise<void> {
    const { id, method } = message;
    if (method === undefined) {
      const waiting = this.#waiting.get(Number(id));
      if (message.error === undefined) waiting?.resolve(message.result);
      else waiting?.reject(new GuildError("failed_precondition", `the language server says: ${message.error.message.slice(0, 300)}`));
    } else if (id !== undefined && id !== null) {
      await this.#send({ id, result: this.#answer(method, new Data(message.params)) });
    } else if (method === "textDocument/publishDiagnostics") {
      const params = new Data(message.params);
      const version = params.at("version").value;
      this.#pushed.set(params.at("uri").text ?? "", {
        version: typeof version === "number" ? version : undefined,
        items: diagnosticsOf(params.at("diagnostics")),
        push: (this.#pushes += 1),
      });
      for (const wake of this.#pushWaiters.splice(0)) wake();
    }
  }

  /** What servers ask of clients: settings (none are an empty table: that of css fails over null); the rest is agreed to and ignored. */
  #answer(method: string, params: Data): unknown {
    if (method === "workspace/configuration") {
      return params.at("items").items.map((item) => {
        const section = item.at("section").text ?? "";
        return new Data(this.#settings).at(...section.split(".").filter((part) => part !== "")).value ?? {};
      });
    }
    if (method === "workspace/workspaceFolders") return [{ uri: uriOf(this.#workspace), name: "workspace" }];
    if (method === "workspace/applyEdit") return { applied: false };
    return null;
  }

  #notify(method: string, params: unknown): Promise<void> {
    return this.#send({ method, params });
  }

  async #send(message: Record<string, unknown>): Promise<void> {
    if (this.ended !== undefined) throw this.#gone();
    await this.#execution.write(frame(message));
  }

  #end(why: string): void {
    if (this.ended !== undefined) return;
    this.ended = why;
    for (const { reject } of this.#waiting.values()) reject(this.#gone());
    for (const wake of this.#pushWaiters.splice(0)) wake();
  }

  #gone(): GuildError {
    return new GuildError("unavailable", `the language server is gone: ${this.ended ?? ""}${this.#said()}`);
  }

  /** The last line that it wrote on standard error. */
  #said(): string {
    const line = this.#stderr.trim().split("\n").at(-1)?.slice(0, 200) ?? "";
    return line === "" ? "" : ` (${line})`;
  }
}

export function uriOf(path: string): string {
  return pathToFileURL(path).href;
}

function diagnosticsOf(list: Data): Diagnostic[] {
  return list.items.slice(0, MOST_DIAGNOSTICS).map((one) => ({
    line: Number(one.at("range", "start", "line").value ?? 0) + 1,
    column: Number(one.at("range", "start", "character").value ?? 0) + 1,
    severity: SEVERITIES[Number(one.at("severity").value ?? 1) - 1] ?? "error",
    message: (one.at("message").text ?? "").slice(0, 600),
    code: one.at("code").text ?? "",
    source: one.at("source").text ?? "",
  }));
}
