import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { GuildError } from "@guildhall/core";
import type { EnvironmentChange, Generation } from "@guildhall/protocol";

import type { Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { createStyle, oneLine } from "../output/style.ts";
import { workspaceOf } from "./arguments.ts";
import { withConnection } from "./session.ts";

interface PlaceOptions {
  workspace?: string;
  sandbox?: string;
  json?: boolean;
}

/** `guild env set`. */
export function set(context: Context, options: PlaceOptions): Promise<number> {
  return at(context, options, async (connection, place) => {
    for await (const { kind } of connection.environments.setEnvironment(place)) {
      if (kind.case === "progress") context.stderr.write(`${oneLine(kind.value, 300)}\n`);
      if (kind.case === "change") writeChange(context, place.directory, kind.value, options);
    }
  });
}

/** `guild env rollback`. */
export function rollBack(context: Context, generation: string | undefined, options: PlaceOptions): Promise<number> {
  return at(context, options, async (connection, place) => {
    const { change } = await connection.environments.rollBackEnvironment({ ...place, generation: numberOf(generation ?? "0") });
    if (change !== undefined) writeChange(context, place.directory, change, options);
  });
}

/** `guild env history`. */
export function history(context: Context, options: PlaceOptions): Promise<number> {
  return at(context, options, async (connection, place) => {
    const { generations } = await connection.environments.listGenerations(place);
    for (const one of generations) writeGeneration(context, place.directory, one, options);
    if (generations.length === 0 && options.json !== true) context.stdout.write("no session has run here yet\n");
  });
}

/** `guild env diff`. */
export function diff(context: Context, from: string, to: string, options: PlaceOptions): Promise<number> {
  return at(context, options, async (connection, place) => {
    const numbers = { from: numberOf(from), to: numberOf(to) };
    const { difference } = await connection.environments.diffGenerations({ ...place, ...numbers });
    if (options.json === true) json(context, { id: place.directory, type: "difference", ...numbers, difference });
    else for (const line of difference) context.stdout.write(`${oneLine(line, 300)}\n`);
  });
}

/** `guild env verify`; fails when the environment is not what is recorded. */
export function verify(context: Context, options: PlaceOptions): Promise<number> {
  return withConnection(context, async (connection) => {
    const place = placeOf(context, options);
    const { recordedHash, resolvedHash, difference } = await connection.environments.verifyEnvironment(place);
    const same = recordedHash === "" || recordedHash === resolvedHash;
    if (options.json === true) {
      json(context, {
        id: place.directory,
        type: "verification",
        same,
        recorded_hash: recordedHash,
        resolved_hash: resolvedHash,
        difference,
      });
    } else {
      context.stdout.write(`${same ? "the same" : "differs"}: ${resolvedHash}${same ? "" : `, recorded is ${recordedHash}`}\n`);
      for (const line of difference) context.stdout.write(`${oneLine(line, 300)}\n`);
    }
    return same ? exitCode.done : exitCode.failed;
  });
}

/** `guild env gc`. */
export function collect(context: Context, options: PlaceOptions & { keep: number }): Promise<number> {
  return at(context, options, async (connection, place) => {
    const { removed, freed } = await connection.environments.collectGenerations({ ...place, keep: options.keep });
    if (options.json === true) json(context, { id: place.directory, type: "collection", removed, freed });
    else
      context.stdout.write(
        `${removed.length === 0 ? "nothing to remove" : `removed: ${removed.join(", ")}`}${freed === "" ? "" : `; ${freed}`}\n`,
      );
  });
}

/** `guild env copy`. */
export function copy(context: Context, options: PlaceOptions & { to?: string; from?: string }): Promise<number> {
  return at(context, options, async (connection, place) => {
    const given = options.to ?? options.from;
    if (given === undefined || (options.to !== undefined && options.from !== undefined)) {
      throw new GuildError("invalid_argument", "give a directory with either --to or --from");
    }
    const store = given.includes("://") ? given : resolve(context.cwd, given);
    const { storePaths } = await connection.environments.copyEnvironment({ ...place, store, fetch: options.to === undefined });
    if (options.json === true) json(context, { id: place.directory, type: "copy", store, store_paths: storePaths });
    else
      context.stdout.write(
        options.to === undefined ? `fetched from ${store}\n` : `${storePaths.length} store path(s) with all they need: ${store}\n`,
      );
  });
}

/** `guild env init`. */
export function init(context: Context, options: PlaceOptions & { print?: boolean }): Promise<number> {
  return at(context, options, async (connection, { directory }) => {
    const { text } = await connection.environments.draftFlake({ directory });
    if (options.print === true) {
      context.stdout.write(text);
      return;
    }
    const file = join(directory, "flake.nix");
    if (existsSync(file))
      throw new GuildError("already_exists", "there is a flake already", { subject: file, remedy: "look at the draft with --print" });
    writeFileSync(file, text, { flag: "wx" });
    if (options.json === true) json(context, { id: file, type: "flake" });
    else context.stdout.write(`${file}\nlock it with nix flake lock, read it, then: guild trust add ${directory}\n`);
  });
}

type Place = { directory: string; sandbox: string };

function at(context: Context, options: PlaceOptions, run: (connection: Connection, place: Place) => Promise<void>): Promise<number> {
  return withConnection(context, async (connection) => {
    await run(connection, placeOf(context, options));
    return exitCode.done;
  });
}

function placeOf(context: Context, options: PlaceOptions): Place {
  return { directory: workspaceOf(context, options.workspace), sandbox: options.sandbox ?? "" };
}

function writeChange(context: Context, directory: string, { generation, difference }: EnvironmentChange, options: PlaceOptions): void {
  if (generation === undefined) return;
  writeGeneration(context, directory, generation, options, difference);
  if (options.json === true) return;
  for (const line of difference) context.stdout.write(`  ${oneLine(line, 300)}\n`);
  if (difference.length === 0) context.stdout.write("  nothing has changed\n");
}

function writeGeneration(context: Context, directory: string, one: Generation, options: PlaceOptions, difference?: string[]): void {
  const { number, time, why, current, held, hash, kind, source } = one;
  if (options.json === true) {
    json(context, {
      id: `${directory}#${number}`,
      type: "generation",
      number,
      time,
      why,
      current,
      held,
      hash,
      kind,
      source,
      ...(difference === undefined ? {} : { difference }),
    });
    return;
  }
  const style = createStyle(context.color);
  const mark = current ? style.good(held ? "held" : "current") : "";
  context.stdout.write(
    `${String(number).padStart(3)}  ${hash.slice(0, 19)}  ${time.slice(0, 19)}  ${oneLine(source, 60)}  ${style.dim(oneLine(why, 80))}  ${mark}`.trimEnd() +
      "\n",
  );
}

function numberOf(text: string): number {
  if (!/^\d{1,9}$/.test(text))
    throw new GuildError("invalid_argument", `${JSON.stringify(text)} is no generation`, { remedy: "guild env history lists them" });
  return Number(text);
}

function json(context: Context, value: Record<string, unknown>): void {
  context.stdout.write(`${JSON.stringify(value)}\n`);
}
