import type { Ids, PartAction, SandboxProvider, SessionPart, Tool, ToolResult } from "@guildhall/core";
import type * as environment from "@guildhall/environment";

import type { PartContext, PartFactory } from "../parts/session-parts.ts";
import type { Environments } from "./environments.ts";
import { SessionServers } from "./session-servers.ts";

type Library = typeof environment;

export interface LanguagePartOptions {
  programs(): Readonly<Record<string, string>>;
  /** Servers that the settings name. */
  configured(): readonly string[];
  provider(name: string): Promise<SandboxProvider>;
  ids: Ids;
}

/** Language servers for a session: a tool to ask them, and what they say of each edit with that edit's observation. */
export function languagePart(environments: Environments, options: LanguagePartOptions): PartFactory {
  let shared: environment.SharedServers | undefined;
  return {
    name: "language",
    async open(context) {
      const library = await import("@guildhall/environment");
      shared ??= new library.SharedServers();
      const { environment: has } = await environments.resolve(context);
      const servers = new SessionServers({
        library,
        shared,
        sandbox: context.sandbox,
        spec: context.spec,
        environment: has,
        kinds: library.withConfigured(options.configured()),
        programs: options.programs(),
        provider: options.provider,
        ids: options.ids,
      });
      return new LanguagePart(library, context, servers, has.hash, environments);
    },
    close: async () => await shared?.close(),
  };
}

class LanguagePart implements SessionPart {
  readonly name = "language";
  readonly #library: Library;
  readonly #context: PartContext;
  readonly #servers: SessionServers;
  readonly #environments: Environments;
  readonly #diagnostics: InstanceType<Library["EditDiagnostics"]>;
  readonly #tools: readonly Tool[];
  #hash: string;
  /** Texts before the edits that run, by call and path. */
  readonly #before = new Map<string, Map<string, string | undefined>>();

  constructor(library: Library, context: PartContext, servers: SessionServers, hash: string, environments: Environments) {
    this.#library = library;
    this.#context = context;
    this.#servers = servers;
    this.#environments = environments;
    this.#hash = hash;
    this.#diagnostics = new library.EditDiagnostics(this.#servers);
    this.#tools = [library.createLspTool(this.#servers)];
  }

  /** Servers change their environment when the session does. */
  async beforeStep(): Promise<[]> {
    const current = await this.#environments.current(this.#context);
    if (current !== undefined && current.environment.hash !== this.#hash) {
      this.#hash = current.environment.hash;
      await this.#servers.apart();
    }
    return [];
  }

  tools(): readonly Tool[] {
    return this.#tools;
  }

  async beforeAction(action: PartAction): Promise<undefined> {
    const paths = this.#library.editedPaths(action, this.#context.workspace).filter((path) => this.#servers.knows(path));
    if (paths.length === 0) return;
    const { files } = await this.#context.sandbox;
    const texts = await Promise.all(paths.slice(0, MOST_FILES).map(async (path) => [path, await readText(files, path)] as const));
    this.#before.set(action.callId, new Map(texts));
  }

  async afterAction(action: PartAction, result: ToolResult): Promise<string | undefined> {
    const before = this.#before.get(action.callId);
    this.#before.delete(action.callId);
    if (before === undefined || result.status !== "ok") return undefined;
    const { files, workspace } = await this.#context.sandbox;
    const said: string[] = [];
    for (const [path, old] of before) {
      const now = await readText(files, path);
      if (now === undefined || now === old) continue;
      const text = await this.#diagnostics.of(path, path.slice(workspace.length + 1), old, now);
      if (text !== undefined) said.push(text);
    }
    return said.length === 0 ? undefined : said.join("\n");
  }

  async close(): Promise<void> {
    await this.#servers.close();
  }
}

/** Files of one patch that are looked at. */
const MOST_FILES = 4;

async function readText(files: Awaited<PartContext["sandbox"]>["files"], path: string): Promise<string | undefined> {
  try {
    return Buffer.from(await files.read(path)).toString("utf8");
  } catch {
    return undefined; // there is no such file yet, or any more
  }
}
