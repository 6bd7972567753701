import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, mkdir, readFile, realpath, writeFile } from "node:fs/promises";
import { dirname, join, sep } from "node:path";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Event, type EventLog, GuildError, type SessionKey } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import type { Lesson } from "@guildhall/knowledge";
import { type EvidenceSchema, KnowledgeSchema, ScopeKind } from "@guildhall/protocol";

import type { Log } from "../daemon/log.ts";
import type { GlobalKnowledge } from "./global.ts";
import type { KnowledgeModel } from "./knowledge-model.ts";
import { modelLessons } from "./model-lessons.ts";

export interface DistillerDeps {
  tenant: string;
  log: Pick<EventLog, "read" | "listSessions">;
  knowledge: Pick<GlobalKnowledge, "add" | "project" | "redactor">;
  /** Writes down what a session made of what it was shown, once however often it is told. */
  tellUse(made: { used: readonly string[]; confirmed: readonly string[] }, session: string, project: string): Promise<void>;
  journal: Log;
  settings(): Settings["knowledge"];
  /** Resolves when no session works. */
  quiet(): Promise<void>;
  /** Writes the lessons where one is set; where it fails the rules do. */
  model: KnowledgeModel;
  signal: AbortSignal;
  /** Keeps how far it has come, so that a start looks at nothing twice. */
  markFile: string;
  /** After each session. */
  distilled(): Promise<void>;
  /** Pauses before what failed is tried again, the first doubling up to the last. Default 2 and 20 seconds. */
  againMs?: readonly [first: number, last: number];
}

/** Tag of what was distilled. */
export const DISTILLED = "distilled";

/** Sessions that are looked at when the daemon starts: those that ended while what is known was away. */
const LOOKED_AT = 20;
/** Pauses before what failed is tried again: the first, doubling up to the last. */
const AGAIN_MS = [2_000, 20_000] as const;
const NEWEST_MS = 7 * 24 * 60 * 60 * 1000;
const PAGE = 500;
const MOST_EVENTS = 20_000;
const LARGEST_FILE = 4 * 2 ** 20;

/**
 * Turns finished sessions into knowledge of their project, one after another, when nobody works. The operation's id follows from the session and its end, so that
 * doing it again, after a crash or from another daemon, changes nothing: the session's log is what waits.
 */
export class Distiller {
  readonly #deps: DistillerDeps;
  readonly #done = new Set<string>();
  #turn: Promise<void> = Promise.resolve();
  #closed = false;
  /** Sessions that could not be distilled, by id: while there are any nothing is marked, so that a start finds them again. */
  readonly #failed = new Map<string, { key: SessionKey; workspace: string; ended: number }>();
  #again: NodeJS.Timeout | undefined;
  readonly #againMs: readonly [first: number, last: number];
  #pause: number;

  constructor(deps: DistillerDeps) {
    this.#deps = deps;
    this.#againMs = deps.againMs ?? AGAIN_MS;
    [this.#pause] = this.#againMs;
  }

  /** A session's turn ended then, milliseconds. Returns at once. */
  later(key: SessionKey, workspace: string, ended: number): void {
    if (!this.#deps.settings().share) return;
    this.#turn = this.#turn
      .then(() => this.#deps.quiet())
      .then(async () => {
        if (this.#closed) return;
        await this.session(key, workspace);
        this.#failed.delete(key.session);
        [this.#pause] = this.#againMs;
        if (this.#failed.size === 0) await this.#mark(ended);
      })
      .catch((error: unknown) => {
        if (!this.#failed.has(key.session))
          this.#deps.journal.warn(`${key.session}: not distilled yet, and tried again: ${GuildError.from(error).line}`);
        this.#failed.set(key.session, { key, workspace, ended });
        if (GuildError.is(error, "unavailable") || GuildError.is(error, "deadline_exceeded")) this.#tryAgain();
      });
  }

  /** What is known was away: what has ended meanwhile is distilled as soon as it is back. Its log keeps what it learned until then, over restarts too. */
  #tryAgain(): void {
    if (this.#again !== undefined || this.#closed) return;
    this.#again = setTimeout(() => {
      this.#again = undefined;
      for (const { key, workspace, ended } of this.#failed.values()) this.later(key, workspace, ended);
    }, this.#pause).unref();
    this.#pause = Math.min(this.#pause * 2, this.#againMs[1]);
  }

  /** Sessions that ended lately and may not have been distilled. */
  async catchUp(now: number): Promise<void> {
    if (!this.#deps.settings().share) return;
    const records = await this.#deps.log.listSessions({ tenant: this.#deps.tenant, limit: LOOKED_AT });
    const known = await this.#marked();
    for (const record of records.toReversed()) {
      const ended = record.updated.getTime();
      if (record.turnOpen || ended <= known || now - ended > NEWEST_MS) continue;
      this.later({ tenant: record.tenant, session: record.session }, record.workspace, ended);
    }
  }

  /** Everything that ended until then has been distilled. */
  async #mark(ended: number): Promise<void> {
    await mkdir(dirname(this.#deps.markFile), { recursive: true, mode: 0o700 });
    await writeFile(this.#deps.markFile, `${ended}\n`, { mode: 0o600 });
  }

  async #marked(): Promise<number> {
    const text = await readFile(this.#deps.markFile, "utf8").catch(() => "0"); // Nothing was distilled here yet.
    return Number(text.trim()) || 0;
  }

  /** Distils one session; answers with how many facts it gave. */
  async session(key: SessionKey, workspace: string): Promise<number> {
    const { distil, usedKnowledge } = await import("@guildhall/knowledge");
    const events: Event[] = [];
    for (let from = 1; events.length < MOST_EVENTS; from += PAGE) {
      const page = await this.#deps.log.read(key, from, PAGE);
      events.push(...page);
      if (page.length < PAGE) break;
    }
    const end = events.findLast((event) => event.body.case === "turnEnded");
    const name = `distil/${key.session}/${end?.seq ?? 0}`;
    if (end === undefined || this.#done.has(name)) return 0;
    const lessons = await this.#lessons(key, events, distil(events));
    const { name: project } = await this.#deps.knowledge.project(workspace);
    const items = await Promise.all(
      lessons.map(async (lesson) =>
        create(KnowledgeSchema, {
          title: lesson.title,
          text: lesson.text,
          tags: [DISTILLED],
          scope: { kind: ScopeKind.PROJECT, id: project },
          confidence: lesson.confidence,
          evidence: await evidenceOf(lesson, key.session, workspace),
        }),
      ),
    );
    if (items.length > 0) {
      await this.#deps.knowledge.add(items, { actor: `session:${key.session}`, operationId: name, session: key.session, project });
    }
    await this.#deps.tellUse(usedKnowledge(events), key.session, project);
    this.#done.add(name);
    await this.#deps.distilled();
    return items.length;
  }

  async #lessons(key: SessionKey, events: readonly Event[], ruled: Lesson[]): Promise<Lesson[]> {
    const { model, signal, journal } = this.#deps;
    if (model.name() === undefined) return ruled;
    try {
      return await modelLessons(model, events, ruled, { clean: await this.#deps.knowledge.redactor(), signal });
    } catch (error) {
      if (signal.aborted) throw error;
      journal.warn(`${key.session}: distilled by rules alone: ${GuildError.from(error).line}`);
      return ruled;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#again);
    await this.#turn;
  }
}

async function evidenceOf(lesson: Lesson, session: string, workspace: string): Promise<Array<MessageInitShape<typeof EvidenceSchema>>> {
  const evidence: Array<MessageInitShape<typeof EvidenceSchema>> = [
    { kind: { case: "events", value: { sessionId: session, seqs: lesson.seqs.slice(0, 20) } } },
  ];
  if (lesson.command !== undefined) evidence.push({ kind: { case: "command", value: lesson.command } });
  for (const path of lesson.paths) {
    const file = await fileOf(workspace, path);
    if (file !== undefined) evidence.push({ kind: { case: "file", value: file } });
  }
  return evidence;
}

/** A plain file within the workspace, whatever links lead there. */
async function fileOf(workspace: string, path: string): Promise<{ path: string; digest: string } | undefined> {
  const root = await realpath(workspace).catch(() => ""); // Gone: there is nothing to rest on.
  const file = await realpath(path.startsWith("/") ? path : join(root, path)).catch(() => ""); // The text may name what never was.
  if (root === "" || !file.startsWith(root + sep)) return undefined;
  const stat = await lstat(file);
  if (!stat.isFile() || stat.size > LARGEST_FILE) return undefined;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return { path: file.slice(root.length + 1), digest: `sha256:${hash.digest("hex")}` };
}
