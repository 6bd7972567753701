import { hash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { type Environment, GuildError } from "@guildhall/core";
import { z } from "zod";

const tool = z.strictObject({
  name: z.string(),
  version: z.string(),
  path: z.string().optional(),
  wanted: z.string().optional(),
  wantedBy: z.string().optional(),
});
const volume = z.strictObject({ name: z.string(), at: z.string(), readOnly: z.boolean().optional() });
const service = z.strictObject({
  name: z.string(),
  image: z.string(),
  env: z.record(z.string(), z.string()),
  command: z.array(z.string()).optional(),
  entrypoint: z.array(z.string()).optional(),
  user: z.string().optional(),
  directory: z.string().optional(),
  health: z
    .strictObject({
      test: z.array(z.string()),
      intervalSeconds: z.number().optional(),
      timeoutSeconds: z.number().optional(),
      startSeconds: z.number().optional(),
      retries: z.int().optional(),
    })
    .optional(),
  volumes: z.array(volume).optional(),
  temporary: z.array(z.string()).optional(),
  files: z.array(z.strictObject({ at: z.string(), text: z.string(), mode: z.int() })).optional(),
});
const environmentSchema = z.strictObject({
  kind: z.enum(["nix", "devcontainer", "toolchain", "host"]),
  source: z.string(),
  reason: z.string(),
  hash: z.string(),
  generation: z.int(),
  variables: z.record(z.string(), z.string()),
  path: z.array(z.string()),
  pure: z.boolean(),
  mounts: z.array(z.strictObject({ source: z.string(), at: z.string() })),
  shellHook: z.string(),
  roots: z.array(z.string()).optional(),
  setup: z.array(z.strictObject({ name: z.string(), argv: z.tuple([z.string()], z.string()) })).optional(),
  image: z.string().optional(),
  services: z.array(service).optional(),
  volumes: z.array(volume).optional(),
  tools: z.array(tool),
  differences: z.array(z.string()),
});
const generationSchema = z.strictObject({ number: z.int(), time: z.string(), why: z.string(), environment: environmentSchema });
const fileSchema = z.strictObject({
  format: z.literal(1),
  project: z.string(),
  current: z.int(),
  /** Somebody chose the current one: it stays until somebody chooses again. */
  held: z.boolean(),
  generations: z.array(generationSchema),
  /** Hashes of generations that are no longer kept, the last first. */
  forgotten: z.array(z.string()).optional(),
});
type Content = z.output<typeof fileSchema>;

/** One environment that a project has had. */
export interface Generation {
  number: number;
  /** ISO 8601. */
  time: string;
  /** Why it was made, in words. */
  why: string;
  environment: Environment;
}

/** Generations kept without being asked to. */
const MOST = 50;
/** Hashes that are remembered of those that are not. */
const MOST_FORGOTTEN = 200;

/**
 * The environments that projects have had, numbered, one of them current. A file a project, written whole and atomically: a change that
 * fails changes nothing.
 */
export class Generations {
  readonly #directory: string;
  readonly #now: () => Date;
  readonly #known = new Map<string, Content>();

  constructor(options: { directory: string; now(): Date }) {
    this.#directory = options.directory;
    this.#now = options.now;
  }

  /** Undefined: the project has had none. */
  current(project: string): (Generation & { held: boolean }) | undefined {
    const { current, held, generations } = this.#of(project);
    const found = generations.find(({ number }) => number === current);
    return found === undefined ? undefined : { ...(found as Generation), held };
  }

  /** Oldest first. */
  list(project: string): Generation[] {
    return this.#of(project).generations as Generation[];
  }

  /** Throws `not_found`. */
  get(project: string, number: number): Generation {
    const found = this.list(project).find((one) => one.number === number);
    if (found === undefined) {
      throw new GuildError("not_found", `there is no generation ${number}`, { subject: project, remedy: "guild env history lists them" });
    }
    return found;
  }

  /** Makes an environment the current generation; one that is the same as the current one makes none. */
  add(project: string, environment: Environment, why: string): Generation {
    const content = this.#of(project);
    const current = this.current(project);
    if (current?.environment.hash === environment.hash) {
      const same = { ...environment, generation: current.number };
      if (!content.held) return { ...current, environment: same };
      this.#write(project, { ...content, held: false });
      return { ...current, environment: same };
    }
    const number = Math.max(0, ...content.generations.map((one) => one.number)) + 1;
    const made = { number, time: this.#now().toISOString(), why, environment: { ...environment, generation: number } };
    const all = [...content.generations, made as Content["generations"][number]];
    const kept = all.slice(-MOST);
    this.#write(project, { ...without(content, all.slice(0, -MOST)), current: number, held: false, generations: kept });
    return made;
  }

  /** Makes an earlier one current and holds it. Without a number: the one before the current. */
  rollBack(project: string, number?: number): Generation {
    const content = this.#of(project);
    const before = content.generations.filter((one) => one.number < content.current).at(-1)?.number;
    const wanted = number ?? before;
    if (wanted === undefined) {
      throw new GuildError("failed_precondition", "there is no earlier generation", {
        subject: project,
        remedy: "guild env history lists them",
      });
    }
    const found = this.get(project, wanted);
    this.#write(project, { ...content, current: wanted, held: true });
    return found;
  }

  /** Forgets all but the newest `keep` and the current one; returns those forgotten. */
  forget(project: string, keep: number): Generation[] {
    const content = this.#of(project);
    const newest = new Set(content.generations.slice(content.generations.length - Math.max(0, keep)).map(({ number }) => number));
    const stays = (one: { number: number }) => newest.has(one.number) || one.number === content.current;
    const gone = content.generations.filter((one) => !stays(one));
    if (gone.length > 0) this.#write(project, { ...without(content, gone), generations: content.generations.filter(stays) });
    return gone as Generation[];
  }

  /** Whether any project here ever had an environment with this hash; the environment itself, if it is still kept. */
  had(hash: string): { environment: Environment | undefined } | undefined {
    for (const name of this.#files()) {
      const { generations, forgotten = [] } = load(join(this.#directory, name), name);
      const found = generations.find(({ environment }) => environment.hash === hash);
      if (found !== undefined) return { environment: found.environment as Environment };
      if (forgotten.includes(hash)) return { environment: undefined };
    }
    return undefined;
  }

  /** Of every project: what must not be collected. */
  roots(): string[] {
    return this.#files().flatMap((name) =>
      load(join(this.#directory, name), name).generations.flatMap(({ environment }) => environment.roots ?? []),
    );
  }

  #files(): string[] {
    return existsSync(this.#directory) ? readdirSync(this.#directory).filter((name) => name.endsWith(".json")) : [];
  }

  #file(project: string): string {
    return join(this.#directory, `${hash("sha256", project, "hex").slice(0, 24)}.json`);
  }

  #of(project: string): Content {
    const known = this.#known.get(project) ?? load(this.#file(project), project);
    this.#known.set(project, known);
    return known;
  }

  #write(project: string, content: Content): void {
    const file = this.#file(project);
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.${process.pid}`, JSON.stringify(content), { mode: 0o600 });
    renameSync(`${file}.${process.pid}`, file);
    this.#known.set(project, content);
  }
}

function without(content: Content, gone: Content["generations"]): Content {
  if (gone.length === 0) return content;
  const hashes = [...gone.map(({ environment }) => environment.hash), ...(content.forgotten ?? [])];
  return { ...content, forgotten: [...new Set(hashes)].slice(0, MOST_FORGOTTEN) };
}

function load(file: string, project: string): Content {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return { format: 1, project, current: 0, held: false, generations: [] }; // it has had none
  }
  try {
    return fileSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new GuildError("corrupt", "the generations of this project's environment cannot be read", {
      subject: file,
      remedy: "remove the file: sessions then begin with a first generation",
      cause: error,
    });
  }
}
