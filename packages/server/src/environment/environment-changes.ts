import { type Environment, GuildError, type ProjectFacts } from "@guildhall/core";
import type { Generation } from "@guildhall/environment";

import { type EnvironmentPlace, type Environments, isThere } from "./environments.ts";

/** A generation that has become current, and what differs from the one before. */
export interface EnvironmentChange {
  generation: Generation & { held: boolean };
  difference: string[];
}

/** What people do with generations. Every change is whole or not at all. */
export class EnvironmentChanges {
  readonly #environments: Environments;

  constructor(environments: Environments) {
    this.#environments = environments;
  }

  /** Builds what the project declares now, asks its tools, and only then makes it current. Throws when any of it fails. */
  async set(place: EnvironmentPlace, on: { signal: AbortSignal; progress(line: string): void }): Promise<EnvironmentChange> {
    const before = await this.#environments.current(place);
    const check = (environment: Environment, { declared }: ProjectFacts): void => {
      for (const { name } of declared) mustNotGetLost(name, before?.environment, environment);
      if (environment.kind !== "nix" || environment.tools.length > 0) return;
      throw new GuildError("failed_precondition", "no program of the environment answers", {
        subject: place.workspace,
        remedy: "the former generation stays",
      });
    };
    await this.#environments.resolveNow(place, { ...on, anew: true, adopt: { why: "guild env set", check } });
    this.#environments.changed(place);
    return await this.#changed(place, before?.environment);
  }

  async rollBack(place: EnvironmentPlace, number: number | undefined): Promise<EnvironmentChange> {
    const before = await this.#environments.current(place);
    const generations = await this.#environments.generations();
    const project = this.#environments.project(place);
    const wanted = number ?? generations.list(project).findLast((one) => one.number < (before?.number ?? 0))?.number;
    const target = wanted === undefined ? undefined : generations.get(project, wanted);
    if (target !== undefined && !isThere(target.environment)) {
      throw new GuildError("failed_precondition", `what generation ${target.number} is made of is no longer there`, {
        subject: place.workspace,
        remedy: "make it again from the project: guild env set",
      });
    }
    generations.rollBack(project, wanted);
    this.#environments.changed(place);
    return await this.#changed(place, before?.environment);
  }

  async verify(
    place: EnvironmentPlace,
    signal: AbortSignal,
  ): Promise<{ recordedHash: string; resolvedHash: string; difference: string[] }> {
    const { diffEnvironments } = await import("@guildhall/environment");
    const current = await this.#environments.current(place);
    const { environment } = await this.#environments.resolveNow(place, { anew: true, signal });
    return {
      recordedHash: current?.environment.hash ?? "",
      resolvedHash: environment.hash,
      difference: current === undefined ? [] : diffEnvironments(current.environment, environment),
    };
  }

  async collect(place: EnvironmentPlace, keep: number, signal: AbortSignal): Promise<{ removed: number[]; freed: string }> {
    const { collectNix } = await import("@guildhall/environment");
    const generations = await this.#environments.generations();
    const gone = generations.forget(this.#environments.project(place), keep);
    const ofNix = gone.some(({ environment }) => (environment.roots ?? []).length > 0);
    const freed = ofNix ? await collectNix(this.#environments.nix(), generations.roots(), { signal, progress: () => undefined }) : "";
    return { removed: gone.map(({ number }) => number), freed };
  }

  async copy(place: EnvironmentPlace, how: { store: string; fetch: boolean }, signal: AbortSignal): Promise<string[]> {
    const { copyNix, storePathOf } = await import("@guildhall/environment");
    const current = await this.#environments.current(place);
    const paths = (current?.environment.roots ?? []).flatMap((root) => storePathOf(root) ?? []);
    return [...(await copyNix(this.#environments.nix(), paths, how, { signal, progress: () => undefined }))];
  }

  async #changed(place: EnvironmentPlace, before: Environment | undefined): Promise<EnvironmentChange> {
    const { diffEnvironments } = await import("@guildhall/environment");
    const generation = await this.#environments.current(place);
    if (generation === undefined) throw new GuildError("internal", "no generation is current", { subject: place.workspace });
    return { generation, difference: before === undefined ? [] : diffEnvironments(before, generation.environment) };
  }
}

/** A declared tool that answered before must answer in the new environment. */
function mustNotGetLost(name: string, before: Environment | undefined, after: Environment): void {
  const had = before?.tools.some((tool) => tool.name === name) === true;
  if (!had || after.tools.some((tool) => tool.name === name)) return;
  throw new GuildError("failed_precondition", `${name}, which the project asks for, does not answer in the new environment`, {
    remedy: "the former generation stays",
  });
}
