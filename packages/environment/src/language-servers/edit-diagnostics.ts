import { GuildError } from "@guildhall/core";

import type { Diagnostic } from "./language-server.ts";
import { lacking, type ServerSource } from "./language-servers.ts";
import { diagnosticLines } from "./lsp-tool.ts";

/** How long an edit's observation waits for what the language server says, milliseconds; the first time it has to start. */
const PATIENCE_MS = 4_000;
const FIRST_PATIENCE_MS = 15_000;
const MOST_LINES = 12;

interface Compared {
  fresh: Diagnostic[];
  gone: number;
  /** Why this is not all that could be known. */
  lack: GuildError | undefined;
}

/** What edits change in the diagnostics of their files. */
export class EditDiagnostics {
  readonly #servers: ServerSource;
  readonly #known = new Map<string, { text: string; found: Diagnostic[] }>();
  readonly #told = new Set<string>();
  #asked = false;

  readonly #patience: number | undefined;

  /** `patienceMs`: how long an edit's observation waits, when not as usual. */
  constructor(servers: ServerSource, options: { patienceMs?: number } = {}) {
    this.#servers = servers;
    this.#patience = options.patienceMs;
  }

  /**
   * Problems that are new with an edit, and how many are gone, as text for its observation; undefined: nothing has changed, or no server is
   * installed. A server that is not ready or has failed is said to be so, once.
   *
   * @param path absolute. @param before text before the edit; undefined: there was no file.
   */
  async of(path: string, shown: string, before: string | undefined, after: string): Promise<string | undefined> {
    if (!this.#servers.knows(path)) return undefined;
    const patience = this.#patience ?? (this.#asked ? PATIENCE_MS : FIRST_PATIENCE_MS);
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), patience);
    try {
      const comparing = this.#compare(path, before, after);
      comparing.catch(() => undefined); // told below, unless it is late
      const found = await Promise.race([comparing, late.promise]);
      if (found === "late") return this.#once("the language server was not ready in time; ask it with lsp diagnostics");
      this.#asked = true;
      const lines = [described(shown, found), found.lack === undefined ? undefined : this.#once(found.lack.line)];
      return lines.some((line) => line !== undefined) ? lines.filter((line) => line !== undefined).join("\n") : undefined;
    } catch (error) {
      const own = GuildError.from(error);
      return own.code === "not_found" || own.code === "unsupported" ? undefined : this.#once(own.line);
    } finally {
      clearTimeout(timer);
    }
  }

  async #compare(path: string, before: string | undefined, after: string): Promise<Compared> {
    const served = await this.#servers.of(path);
    const { server, languageId, holder } = served;
    const ask = async (text: string): Promise<Diagnostic[]> => {
      const known = this.#known.get(path);
      if (known?.text === text) return known.found;
      const found = await server.exclusive(path, async () => {
        await server.sync(path, text, languageId, holder);
        return await server.diagnostics(path, this.#patience ?? FIRST_PATIENCE_MS);
      });
      this.#known.set(path, { text, found });
      return found;
    };
    const old = before === undefined ? [] : await ask(before);
    const now = await ask(after);
    const [had, has] = [counted(old, before ?? ""), counted(now, after)];
    const fresh = now.filter((one) => {
      const key = keyOf(one, after);
      const left = had.get(key) ?? 0;
      if (left > 0) had.set(key, left - 1);
      return left === 0 && one.severity !== "hint";
    });
    const gone = old.filter((one) => one.severity !== "hint" && (has.get(keyOf(one, before ?? "")) ?? 0) === 0).length;
    return { fresh, gone, lack: lacking(served, "diagnostics") };
  }

  #once(what: string): string | undefined {
    if (this.#told.has(what)) return undefined;
    this.#told.add(what);
    return `[no diagnostics for this edit: ${what}]`;
  }
}

function described(path: string, { fresh, gone }: Compared): string | undefined {
  if (fresh.length === 0)
    return gone === 0 ? undefined : `[language server: ${gone} problem${gone === 1 ? "" : "s"} of ${path} gone with this edit, none new]`;
  const lines = diagnosticLines(path, fresh.slice(0, MOST_LINES));
  const more = fresh.length > lines.length ? [`… and ${fresh.length - lines.length} more`] : [];
  return [`[language server: new with this edit${gone === 0 ? "" : `, ${gone} gone`}]`, ...lines, ...more].join("\n");
}

/** The same problem on a line that has only moved is no new one. */
function keyOf({ severity, code, message, line }: Diagnostic, text: string): string {
  return JSON.stringify([severity, code, message, text.split("\n")[line - 1]?.trim() ?? ""]);
}

function counted(all: readonly Diagnostic[], text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const one of all) counts.set(keyOf(one, text), (counts.get(keyOf(one, text)) ?? 0) + 1);
  return counts;
}
