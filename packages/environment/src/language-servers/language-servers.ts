import { GuildError, type Sandbox } from "@guildhall/core";

import { OWN_PROCESS } from "../state/inside-watch.ts";
import { type FileChange, FileChanges } from "./file-changes.ts";
import { LanguageServer } from "./language-server.ts";
import { kindOf, type ServerKind, serverKinds, type ServerNeed } from "./server-kinds.ts";

export interface LanguageServersOptions {
  sandbox: Promise<Sandbox>;
  /** Programs that stand somewhere else than on the search path, by name. */
  programs: Readonly<Record<string, string>>;
  /** A server that nobody asks is ended after this long, milliseconds. */
  idleMs?: number;
  startMs?: number;
  kinds?: readonly ServerKind[];
  /** Where the files of the workspace are on this machine: changes beside the servers are told to them. Default: nobody looks. */
  watched?: string;
}

/** A server that is ready for a file. */
export interface ServedFile {
  server: LanguageServer;
  languageId: string;
  name: string;
  /** For whom documents are opened. */
  holder: object;
  /** What it works through and is not here. */
  lacks: readonly ServerNeed[];
}

/** Why a server cannot answer an operation that it has no words for; undefined: it can. */
export function lacking({ name, lacks }: Pick<ServedFile, "name" | "lacks">, operation: string): GuildError | undefined {
  const need = lacks.find(({ operations }) => operations === undefined || operations.includes(operation));
  if (need === undefined) return undefined;
  const what = operation.replace("_", " ");
  return new GuildError("unavailable", `the ${name} language server answers ${what} through ${need.program}, which is not here`, {
    remedy: need.remedy,
  });
}

/** Whoever has language servers for the files of one session. */
export interface ServerSource {
  /** Whether there is a kind of server for a file at all. */
  knows(path: string): boolean;
  /**
   * The server for a file, ready. Throws `unsupported` for a language without one, `not_found` when it is not installed, `unavailable` when it does not
   * start or keeps dying.
   */
  of(path: string): Promise<ServedFile>;
}

/** Memory that the data of one server may take, KiB; the sandbox's own limit stands above it. */
const MOST_DATA_KIB = 3 * 1024 * 1024;
/** Times that a server is started anew after it has died, before it counts as broken. */
const MOST_RESTARTS = 3;

/** Runs the program with a bound on its memory; `--` guards nothing here, the words are ours. */
const BOUNDED = `ulimit -d ${MOST_DATA_KIB} 2>/dev/null; exec "$@"`;

interface Kept {
  starting: Promise<LanguageServer>;
  deaths: number;
  idle: NodeJS.Timeout | undefined;
  /** Changes beside it of which it has not been told. */
  news: FileChange[];
}

/**
 * The language servers of one sandbox: started when a file of their language is first asked about, started anew when they die, ended when
 * nobody has asked for a while. One that dies again and again is given up, and says so at each question.
 */
export class LanguageServers implements ServerSource {
  readonly #options: LanguageServersOptions;
  readonly #kinds: readonly ServerKind[];
  readonly #kept = new Map<string, Kept>();
  readonly #broken = new Map<string, GuildError>();
  readonly #lacks = new Map<string, readonly ServerNeed[]>();
  #changes: FileChanges | undefined;

  constructor(options: LanguageServersOptions) {
    this.#options = options;
    this.#kinds = options.kinds ?? serverKinds;
  }

  knows(path: string): boolean {
    return kindOf(path, this.#kinds) !== undefined;
  }

  async of(path: string): Promise<ServedFile> {
    const found = kindOf(path, this.#kinds);
    if (found === undefined) throw new GuildError("unsupported", "no language server is known for this kind of file", { subject: path });
    const { kind, languageId } = found;
    const broken = this.#broken.get(kind.name);
    if (broken !== undefined) throw broken;
    await this.#lookAround();
    const kept = this.#kept.get(kind.name) ?? this.#keep(kind, 0);
    const server = await this.#alive(kind, kept);
    this.#touch(kind.name);
    const news = this.#kept.get(kind.name)?.news.splice(0) ?? [];
    if (news.length > 0) await server.filesChanged(news, path, readText((await this.#options.sandbox).files));
    return { server, languageId, name: kind.name, holder: this, lacks: this.#lacks.get(kind.name) ?? [] };
  }

  /** Closes the documents that only this holder has open. */
  async forget(holder: object): Promise<void> {
    // One that does not start holds nothing.
    await Promise.all([...this.#kept.values()].map(async ({ starting }) => (await starting.catch(() => undefined))?.forget(holder)));
  }

  /** The servers that run. */
  get running(): string[] {
    return [...this.#kept.keys()];
  }

  async close(): Promise<void> {
    this.#changes?.close();
    this.#changes = undefined;
    await this.#end();
  }

  async #end(): Promise<void> {
    const all = [...this.#kept.values()];
    this.#kept.clear();
    for (const { idle } of all) clearTimeout(idle);
    // One that never started has nothing to close, and who asked for it was told.
    await Promise.all(all.map(async ({ starting }) => (await starting.catch(() => undefined))?.close()));
  }

  /** What has changed beside the servers, for each that runs; after more than can be told they are ended, and start anew when asked. */
  async #lookAround(): Promise<void> {
    if (this.#changes === undefined || this.#kept.size === 0) return;
    const news = await this.#changes.take();
    if (news === undefined) await this.#end();
    else for (const kept of this.#kept.values()) kept.news.push(...news);
  }

  async #alive(kind: ServerKind, kept: Kept): Promise<LanguageServer> {
    let server: LanguageServer | undefined;
    try {
      server = await kept.starting;
      if (server.ended === undefined) return server;
    } catch (error) {
      this.#kept.delete(kind.name);
      // What is not there may be installed by the next time.
      if (GuildError.is(error, "not_found")) throw error;
    }
    await server?.close();
    if (kept.deaths >= MOST_RESTARTS) {
      this.#kept.delete(kind.name);
      const why = server?.ended === undefined ? "" : `: ${server.ended}`;
      const broken = new GuildError(
        "unavailable",
        `the ${kind.name} language server has died ${kept.deaths + 1} times and is given up${why}`,
        {
          remedy: "work without it: run the project's own checks",
        },
      );
      this.#broken.set(kind.name, broken);
      throw broken;
    }
    const again = this.#keep(kind, kept.deaths + 1);
    return await this.#alive(kind, again);
  }

  #keep(kind: ServerKind, deaths: number): Kept {
    clearTimeout(this.#kept.get(kind.name)?.idle);
    const kept: Kept = { starting: this.#start(kind), deaths, idle: undefined, news: [] };
    kept.starting.catch(() => undefined); // told to who asks
    this.#kept.set(kind.name, kept);
    return kept;
  }

  async #start(kind: ServerKind): Promise<LanguageServer> {
    const sandbox = await this.#options.sandbox;
    const command = await this.#find(sandbox, kind);
    const { watched } = this.#options;
    if (watched !== undefined) {
      // Watched before it reads: nothing that changes meanwhile is missed.
      this.#changes ??= new FileChanges(watched, sandbox.workspace);
      await this.#changes.ready.catch(() => undefined); // where it cannot be watched, the server is as good as it was
    }
    return await LanguageServer.start({
      sandbox,
      argv: [BASH, "-c", BOUNDED, "bash", ...command],
      env: { NODE_OPTIONS: "--max-old-space-size=1536", [OWN_PROCESS]: "language-server" },
      settings: kind.settings ?? {},
      startMs: this.#options.startMs ?? 60_000,
    });
  }

  /** The project's own program comes before those of the search path and Guildhall's. */
  async #find(sandbox: Sandbox, kind: ServerKind): Promise<readonly [string, ...string[]]> {
    const { needs = [] } = kind;
    const names = [...kind.commands.map(([name]) => name), ...needs.map(({ program }) => program)];
    const script =
      'for name; do for place in "node_modules/.bin/$name" ".venv/bin/$name"; do [ -x "$place" ] && echo "$name $PWD/$place"; done; command -v -- "$name" >/dev/null && echo "$name $(command -v -- "$name")"; done; :';
    const execution = await sandbox.exec({ argv: [BASH, "-c", script, "find", ...names], limits: { wallSeconds: 20 } });
    let text = "";
    try {
      for await (const { stream, bytes } of execution.output) if (stream === "stdout") text += Buffer.from(bytes).toString("utf8");
    } finally {
      await execution.close();
    }
    const found = new Map(
      text
        .split("\n")
        .flatMap((line) => (line.includes(" ") ? [[line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)] as const] : []))
        .toReversed(),
    );
    for (const [name, ...args] of kind.commands) {
      const path = found.get(name) ?? this.#options.programs[name];
      if (path === undefined) continue;
      const lacks = needs.filter(({ program }) => !found.has(program));
      const [basic] = lacks.filter(({ operations }) => operations === undefined);
      if (basic !== undefined) {
        throw new GuildError("not_found", `the language server for ${kind.name} works through ${basic.program}, which is not here`, {
          remedy: basic.remedy,
        });
      }
      this.#lacks.set(kind.name, lacks);
      return [path, ...args];
    }
    throw new GuildError("not_found", `there is no language server for ${kind.name} here`, { remedy: kind.remedy });
  }

  #touch(name: string): void {
    const kept = this.#kept.get(name);
    if (kept === undefined) return;
    clearTimeout(kept.idle);
    kept.idle = setTimeout(
      () => {
        this.#kept.delete(name);
        if (this.#kept.size === 0) this.#changes?.close();
        if (this.#kept.size === 0) this.#changes = undefined;
        kept.starting.then((server) => server.close()).catch(() => undefined); // it has gone by itself
      },
      this.#options.idleMs ?? 10 * 60_000,
    );
    kept.idle.unref();
  }
}

function readText(files: Sandbox["files"]): (path: string) => Promise<string | undefined> {
  return async (path) => {
    try {
      return Buffer.from(await files.read(path)).toString("utf8");
    } catch {
      return undefined; // gone meanwhile, or nobody's to read: no text is known
    }
  };
}

const BASH = "/run/guildhall/bin/bash";
