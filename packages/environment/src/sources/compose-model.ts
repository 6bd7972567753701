import { posix } from "node:path";

import { GuildError, type ProjectFiles } from "@guildhall/core";

import { Data } from "../project/read-data.ts";
import { asTable, isTable, mergeCompose, parseCompose, type Table } from "./compose-merge.ts";
import { type ComposeVariables, interpolated, readVariables } from "./compose-text.ts";
import { resolved, trustedText } from "./devcontainer-build.ts";

/** A Compose project with everything that its files include and extend: values are filled in, paths relative to `place`. */
export interface ComposeModel {
  compose: Data;
  place: string;
  /** Variables that a service's own files of variables may use. */
  variablesOf(service: string): ComposeVariables;
  /** What was left out: one line each. */
  refused: string[];
}

/** Files that one project may be made of, however often each is named. */
const MOST_FILES = 100;
const IMPORTED = ["services", "volumes", "networks", "secrets", "configs"];

/**
 * Compose files, the later over the earlier, with `include` and `extends` as the Compose specification has them: an included file is a project of its own,
 * with its own directory and `.env`, and nothing in it may be named as something here is; an extended service's paths are relative to its own file. Only
 * files that were trusted are read; of others a line in `refused` tells. Throws `invalid_argument` for files that include or extend themselves, or are wrong
 * in another way, and as `trustedText` does for `paths` themselves.
 */
export async function composeModel(paths: readonly string[], files: ProjectFiles): Promise<ComposeModel> {
  const place = directoryOf(paths[0] ?? "");
  const loader = new ComposeLoader(files);
  const variables = await loader.variables([`${place}/.env`], {}, true);
  const compose = await loader.project({ paths, place, variables, above: [] });
  return { compose: new Data(compose), place, variablesOf: (name) => loader.own.get(name) ?? variables, refused: loader.refused };
}

interface Project {
  paths: readonly string[];
  place: string;
  variables: ComposeVariables;
  /** Files that have led here by including one another. */
  above: readonly string[];
}

/** A file that services are looked up in. */
interface Place {
  path: string;
  place: string;
  variables: ComposeVariables;
  services: Table;
}

class ComposeLoader {
  readonly refused: string[] = [];
  /** Of services that come from included files: their project's variables. */
  readonly own = new Map<string, ComposeVariables>();
  readonly #files: ProjectFiles;
  readonly #parsed = new Map<string, unknown>();
  #loads = 0;

  constructor(files: ProjectFiles) {
    this.#files = files;
  }

  /** Of files in which one sets what another uses; those of the project above come first. */
  async variables(paths: readonly string[], above: ComposeVariables, optional: boolean): Promise<ComposeVariables> {
    let found: ComposeVariables = {};
    for (const path of paths) {
      try {
        found = { ...found, ...readVariables(await trustedText(this.#files, path), { ...found, ...above }) };
      } catch (error) {
        if (!optional) this.refused.push(`variables of ${path} are not taken: ${GuildError.from(error).line}`);
      }
    }
    return { ...found, ...above };
  }

  async project({ paths, place, variables, above }: Project): Promise<unknown> {
    let merged: unknown;
    for (const path of paths) {
      if (above.includes(path)) {
        throw new GuildError("invalid_argument", `${path} includes itself`, { subject: [...above, path].join(" → ").slice(0, 300) });
      }
      if (++this.#loads > MOST_FILES) throw new GuildError("invalid_argument", `more than ${MOST_FILES} Compose files include one another`);
      const read = await this.#read(path, variables);
      const services = asTable(read["services"]);
      const here = { path, place, variables, services };
      const whole: Table = {};
      for (const name of Object.keys(services)) whole[name] = await this.#extended(name, here, []);
      const { include, ...own } = "services" in read ? { ...read, services: whole } : read;
      const given = Array.isArray(include) ? (include as unknown[]) : [];
      for (const one of given) await this.#include(own, new Data(one), { paths: [path], place, variables, above: [...above, path] });
      merged = mergeCompose(merged, own);
    }
    return merged;
  }

  /** Puts what another file has into a project; what both have alike is one. */
  async #include(own: Table, given: Data, by: Project): Promise<void> {
    const texts = (data: Data): string[] => (data.text === undefined ? data.items.flatMap(({ text }) => text ?? []) : [data.text]);
    const named = given.text === undefined ? texts(given.at("path")) : [given.text];
    const leftOut = (why: string): void =>
      void this.refused.push(`what ${by.paths[0]} includes of ${named.join(", ")} is not taken: ${why}`);
    if (named.some((one) => /^[a-z+]+:|^git@/i.test(one))) return leftOut("it lies in the network");
    const paths: string[] = [];
    try {
      for (const one of named) {
        paths.push(resolved(by.place, one));
        await trustedText(this.#files, paths.at(-1) ?? "");
      }
    } catch (error) {
      return leftOut(GuildError.from(error).line);
    }
    const [first] = paths;
    if (first === undefined) return leftOut("it names no file");
    const directory = given.at("project_directory").text;
    const place = directory === undefined ? directoryOf(first) : resolved(by.place, directory);
    const env = texts(given.at("env_file")).map((one) => resolved(by.place, one));
    const variables = await this.variables(env.length > 0 ? env : [`${place}/.env`], by.variables, env.length === 0);
    const found = asTable(await this.project({ paths, place, variables, above: by.above }));
    for (const kind of IMPORTED) {
      const target = asTable(own[kind]);
      for (const [name, value] of Object.entries(asTable(found[kind]))) {
        const moved = kind === "services" ? rebased(value, place, by.place) : value;
        if (Object.hasOwn(target, name) && JSON.stringify(target[name]) !== JSON.stringify(moved)) {
          throw new GuildError("invalid_argument", `${by.paths[0]} has ${name} (${kind}), and so has what it includes`, { subject: first });
        }
        target[name] = moved;
        if (kind === "services" && !this.own.has(name)) this.own.set(name, variables);
      }
      if (Object.keys(target).length > 0) own[kind] = target;
    }
  }

  /** A service over the one that it extends. */
  async #extended(name: string, here: Place, above: readonly string[]): Promise<unknown> {
    const service = here.services[name];
    if (!isTable(service) || service["extends"] === undefined) return service;
    const { extends: given, ...own } = service;
    const key = `${name} in ${here.path}`;
    if (above.includes(key)) {
      throw new GuildError("invalid_argument", `the service ${key} extends itself`, { subject: [...above, key].join(" → ").slice(0, 300) });
    }
    const asked = new Data(given);
    const file = asked.at("file").text;
    const base = asked.text ?? asked.at("service").text ?? "";
    let there = here;
    if (file !== undefined) {
      let path: string;
      try {
        path = resolved(here.place, file);
        await trustedText(this.#files, path);
      } catch (error) {
        this.refused.push(`the service ${name} goes without what it extends: ${GuildError.from(error).line}`);
        return own;
      }
      const services = asTable((await this.#read(path, here.variables))["services"]);
      there = { path, place: directoryOf(path), variables: here.variables, services };
    }
    if (!isTable(there.services[base])) {
      throw new GuildError(
        "invalid_argument",
        `the service ${key} extends ${JSON.stringify(base).slice(0, 60)}, which ${there.path} has not`,
      );
    }
    const under = await this.#extended(base, there, [...above, key]);
    return mergeCompose(mergeCompose(undefined, rebased(under, there.place, here.place)), own);
  }

  async #read(path: string, variables: ComposeVariables): Promise<Table> {
    if (!this.#parsed.has(path)) {
      if (this.#parsed.size >= MOST_FILES) throw new GuildError("invalid_argument", `more than ${MOST_FILES} Compose files are named`);
      this.#parsed.set(path, await parseCompose(path, await trustedText(this.#files, path)));
    }
    return asTable(filledIn(this.#parsed.get(path), variables));
  }
}

/** Values with their variables; names have none. */
function filledIn(value: unknown, variables: ComposeVariables): unknown {
  if (typeof value === "string") return interpolated(value, variables);
  if (Array.isArray(value)) return value.map((one) => filledIn(one, variables));
  if (!isTable(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, filledIn(one, variables)]));
}

/** A service whose paths were relative to one directory, with the same ones relative to another. */
function rebased(service: unknown, from: string, to: string): unknown {
  if (!isTable(service) || from === to) return service;
  const moved = (path: unknown): unknown => {
    if (typeof path !== "string" || /^[/~]|:\/\/|^git@/.test(path)) return path;
    const found = posix.join(posix.relative(`/${to}`, `/${from}`), path);
    return found.startsWith("..") ? found : `./${found}`;
  };
  const { build, env_file: given, volumes } = service;
  const files = Array.isArray(given) ? (given as unknown[]) : given === undefined ? [] : [given];
  return {
    ...service,
    ...(build === undefined ? {} : { build: isTable(build) ? { ...build, context: moved(build["context"] ?? ".") } : moved(build) }),
    ...(given === undefined ? {} : { env_file: files.map((one) => (isTable(one) ? { ...one, path: moved(one["path"]) } : moved(one))) }),
    ...(Array.isArray(volumes) ? { volumes: (volumes as unknown[]).map((one) => movedVolume(one, moved)) } : {}),
  };
}

function movedVolume(volume: unknown, moved: (path: unknown) => unknown): unknown {
  if (isTable(volume)) return volume["type"] === "bind" ? { ...volume, source: moved(volume["source"]) } : volume;
  if (typeof volume !== "string" || !volume.startsWith(".")) return volume;
  const [source, ...rest] = volume.split(":");
  return [moved(source), ...rest].join(":");
}

function directoryOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}
