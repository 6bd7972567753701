import { type Execution, GuildError, type Sandbox } from "@guildhall/core";

import { Data } from "../project/read-data.ts";
import type { FileChange } from "./file-changes.ts";
import { frame, MessageStream, type RpcMessage } from "./message-stream.ts";
import { OpenDocuments, uriOf } from "./open-documents.ts";

/** One thing a server says about a place in a file. Lines and columns count from 1. */
export interface Diagnostic {
  line: number;
  column: number;
  severity: "error" | "warning" | "information" | "hint";
  message: string;
  code: string;
  source: string;
  /** As the server gave it: it wants it back with questions about it. */
  given: unknown;
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

/** How long a server that pushes may take to look again after files were changed beside it, milliseconds; it says nothing where all is as it was. */
const SETTLE_MS = 1_500;

/** Holds documents for everybody who does not say who he is. */
const ANYBODY = {};

/** A running server and the documents it knows. What it cannot do is an error that says so, never an empty answer. */
export class LanguageServer {
  readonly #execution: Execution;
  readonly #workspace: string;
  readonly #settings: Readonly<Record<string, unknown>>;
  readonly #stream = new MessageStream();
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: GuildError): void }>();
  readonly #open = new OpenDocuments((method, params) => this.#notify(method, params));
  /** The last question about a document, by its URI. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Pushes so far when files were last changed beside the server. */
  #changedAfter = -1;
  readonly #registered = new Set<string>();
  readonly #pushed = new Map<string, { version: number | undefined; text: string | undefined; items: Diagnostic[]; push: number }>();
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
    return (value !== undefined && value !== false && value !== null) || this.#registered.has(capability);
  }

  /** Tells the server the text of a file, if it is another than it knows. `holder`: for whom it stays open until `forget`. */
  async sync(path: string, text: string, languageId: string, holder: object = ANYBODY): Promise<void> {
    await this.#open.tell(uriOf(path), text, languageId, this.#pushes, holder);
  }

  /** Closes the documents that only this holder has open. */
  async forget(holder: object): Promise<void> {
    if (this.ended === undefined) await this.#open.forget(holder);
  }

  /** The text of a file that is open, as the server has it; undefined: it is not open. */
  textOf(path: string): string | undefined {
    return this.#open.get(uriOf(path))?.text;
  }

  /** Documents that are open. */
  get documents(): number {
    return this.#open.size;
  }

  /** One after the other for one file: what is asked is of the text that was told just before, whoever else asks. */
  async exclusive<T>(path: string, work: () => Promise<T>): Promise<T> {
    const uri = uriOf(path);
    const done = (this.#turns.get(uri) ?? Promise.resolve()).then(work);
    const turn = done.catch(() => undefined); // told to whoever waits for it
    this.#turns.set(uri, turn);
    try {
      return await done;
    } finally {
      if (this.#turns.get(uri) === turn) this.#turns.delete(uri);
    }
  }

  /**
   * Tells the server of files that were changed beside it. `but`: the one whose text it is told next. `read`: the present text of one, undefined
   * when there is none.
   */
  async filesChanged(changes: readonly FileChange[], but: string, read: (path: string) => Promise<string | undefined>): Promise<void> {
    const told: Array<{ uri: string; type: number }> = [];
    for (const { path, types } of changes) {
      const uri = uriOf(path);
      const isOpen = this.#open.get(uri) !== undefined;
      if (isOpen && path === but) continue;
      const text = isOpen ? await read(path) : undefined;
      if (text !== undefined) {
        await this.#open.retell(uri, text, this.#pushes);
        continue;
      }
      await this.#open.gone(uri);
      told.push(...types.map((type) => ({ uri, type })));
    }
    if (told.length === 0) return;
    await this.#notify("workspace/didChangeWatchedFiles", { changes: told });
    this.#changedAfter = this.#pushes;
  }

  /** What it finds wrong in a file that it knows: pulled where it can be, else the next that it pushes. Throws `deadline_exceeded` when nothing comes. */
  async diagnostics(path: string, ms: number): Promise<Diagnostic[]> {
    const uri = uriOf(path);
    const until = performance.now() + ms;
    const settled = performance.now() + SETTLE_MS;
    for (;;) {
      if (this.ended !== undefined) throw this.#gone();
      if (this.can("diagnosticProvider")) {
        const report = new Data(await this.request("textDocument/diagnostic", { textDocument: { uri } }, until - performance.now()));
        return diagnosticsOf(report.at("items"));
      }
      // What it said before files beside it changed may be otherwise now; it says nothing when it is not.
      const present = this.#pushed.get(uri)?.push ?? 0;
      if (present > 0 && present <= this.#changedAfter && performance.now() < settled) {
        await this.#nextPush(settled - performance.now());
        continue;
      }
      const [pushed, open] = [this.#pushed.get(uri), this.#open.get(uri)];
      if (pushed !== undefined && pushed.version === undefined && pushed.push > (open?.pushesBefore ?? 0)) {
        // Not told of which text: the last of those that come together is of the present one.
        await this.#nextPush(TOGETHER_MS);
        return this.#pushed.get(uri)?.items ?? [];
      }
      // A server that comes back to a text before it has looked at another says nothing again of what it said.
      if (pushed?.text !== undefined && pushed.text === open?.text) return pushed.items;
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
          workspace: {
            configuration: true,
            workspaceFolders: true,
            applyEdit: false,
            workspaceEdit: { documentChanges: true },
            didChangeWatchedFiles: { dynamicRegistration: true },
          },
          textDocument: {
            synchronization: { ...dynamic, didSave: true },
            publishDiagnostics: { versionSupport: true },
            diagnostic: { dynamicRegistration: true, relatedDocumentSupport: false },
            definition: dynamic,
            references: dynamic,
            hover: { ...dynamic, contentFormat: ["markdown", "plaintext"] },
            documentSymbol: { ...dynamic, hierarchicalDocumentSymbolSupport: true },
            callHierarchy: dynamic,
            rename: { ...dynamic, prepareSupport: false },
            codeAction: {
              ...dynamic,
              codeActionLiteralSupport: { codeActionKind: { valueSet: ["quickfix", "refactor", "source"] } },
              resolveSupport: { properties: ["edit"] },
            },
            formatting: dynamic,
            // Some complete with snippets or not at all; only names are told here, and nothing is inserted.
            completion: { ...dynamic, completionItem: { snippetSupport: true } },
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
      const uri = params.at("uri").text ?? "";
      const version = params.at("version").value;
      const open = this.#open.get(uri);
      this.#pushed.set(uri, {
        version: typeof version === "number" ? version : undefined,
        text: version === open?.version ? open?.text : undefined,
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
    if (method === "client/registerCapability") {
      const methods = params.at("registrations").items.map((one) => one.at("method").text);
      if (methods.includes("textDocument/diagnostic")) this.#registered.add("diagnosticProvider");
      for (const wake of this.#pushWaiters.splice(0)) wake();
    }
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

function diagnosticsOf(list: Data): Diagnostic[] {
  return list.items.slice(0, MOST_DIAGNOSTICS).map((one) => ({
    line: Number(one.at("range", "start", "line").value ?? 0) + 1,
    column: Number(one.at("range", "start", "character").value ?? 0) + 1,
    given: one.value,
    severity: SEVERITIES[Number(one.at("severity").value ?? 1) - 1] ?? "error",
    message: (one.at("message").text ?? "").slice(0, 600),
    code: one.at("code").text ?? "",
    source: one.at("source").text ?? "",
  }));
}
