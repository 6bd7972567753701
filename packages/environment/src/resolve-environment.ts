import {
  type Environment,
  type EnvironmentKind,
  type EnvironmentSource,
  GuildError,
  type ProjectFacts,
  type ResolvedEnvironment,
  type ResolveRequest,
  type ToolVersion,
} from "@guildhall/core";

import { environmentHash } from "./environment-hash.ts";
import { programOf } from "./tools/tool-names.ts";
import { satisfies } from "./tools/version-range.ts";

/** An environment but for its tools, which only a sandbox that has it can tell. */
export type ChosenEnvironment = ResolvedEnvironment & Pick<Environment, "reason"> & { passedOver: readonly PassedOver[] };

/** A source that the project asks for and that could not be had. */
export interface PassedOver {
  kind: EnvironmentKind;
  /** One line. */
  why: string;
}

/**
 * Takes the first source that the project asks for and that can be had. One that cannot is passed over, and that is a difference, in one
 * line; with `only` it is thrown. Throws `cancelled`.
 *
 * @param sources best first; the last one always works.
 */
export async function chooseEnvironment(
  sources: readonly EnvironmentSource[],
  request: ResolveRequest,
  only?: EnvironmentKind,
): Promise<ChosenEnvironment> {
  const passedOver: PassedOver[] = [];
  for (const source of sources) {
    const last = source === sources.at(-1);
    if (only !== undefined && source.kind !== only) continue;
    const claim = await source.claims(request);
    if (claim === undefined && !last && only === undefined) continue;
    try {
      const resolved = await source.resolve(request);
      const differences = [...passedOver.map(({ why }) => why), ...resolved.differences];
      return { ...resolved, reason: reasonOf(claim, only, passedOver.length), passedOver, differences };
    } catch (error) {
      request.signal.throwIfAborted();
      const own = GuildError.from(error);
      if (last || only !== undefined) throw own;
      passedOver.push({ kind: source.kind, why: `${claim ?? source.kind} is not used: ${own.line}` });
    }
  }
  throw new GuildError("not_found", `there is no environment source ${only ?? ""}`, {
    remedy: `take one of ${sources.map(({ kind }) => kind).join(", ")}`,
  });
}

/**
 * Lays sources beneath the chosen one, where the project declares them: what the chosen one has comes first. One that cannot be had is a difference.
 */
export async function addLayers(
  chosen: ChosenEnvironment,
  sources: readonly EnvironmentSource[],
  request: ResolveRequest,
  layers: readonly EnvironmentKind[],
): Promise<ChosenEnvironment> {
  let made = chosen;
  for (const source of sources) {
    if (!layers.includes(source.kind) || source.kind === chosen.kind || (await source.claims(request)) === undefined) continue;
    try {
      const under = await source.resolve(request);
      made = {
        ...made,
        source: `${made.source} over ${under.source}`,
        variables: { ...under.variables, ...made.variables },
        path: [...new Set([...made.path, ...under.path])],
        pure: made.pure && under.pure,
        mounts: [...made.mounts, ...under.mounts.filter(({ at }) => made.mounts.every((one) => one.at !== at))],
        differences: [...made.differences, ...under.differences],
      };
    } catch (error) {
      request.signal.throwIfAborted();
      made = { ...made, differences: [...made.differences, `${source.kind} is not laid beneath: ${GuildError.from(error).line}`] };
    }
  }
  return made;
}

/** The finished value: with the tools' versions, what differs from the project's wishes, and the hash. */
export function completeEnvironment(
  chosen: ChosenEnvironment,
  facts: ProjectFacts,
  tools: readonly ToolVersion[],
  /** Directories of this machine that are no part of the environment. */
  places: { workspace?: string; home: string },
): Environment {
  const { passedOver: _, ...resolved } = chosen;
  const wished = tools.map((tool) => {
    const wish = facts.declared.find(({ name }) => programOf(name) === tool.name);
    return wish?.wanted === undefined
      ? tool
      : { ...tool, wanted: wish.wanted, ...(wish.wantedBy === undefined ? {} : { wantedBy: wish.wantedBy }) };
  });
  const complete = { ...resolved, tools: wished, differences: [...chosen.differences, ...differencesOf(facts, tools)] };
  return { ...complete, hash: environmentHash(complete, places), generation: 0 };
}

function differencesOf(facts: ProjectFacts, tools: readonly ToolVersion[]): string[] {
  return facts.declared.flatMap(({ name, wanted = "", wantedBy = "" }) => {
    const program = programOf(name);
    if (!/^[a-z][\w.-]{0,30}$/.test(name)) return [];
    const have = tools.find((tool) => tool.name === program);
    if (have === undefined) return [`${wantedBy} asks for ${name} ${wanted}: there is no ${program} here`];
    if (have.version === "" || satisfies(have.version, wanted) !== false) return [];
    return [`${wantedBy} asks for ${name} ${wanted}: here it is ${have.version}`];
  });
}

function reasonOf(claim: string | undefined, only: EnvironmentKind | undefined, passed: number): string {
  if (only !== undefined) return `the setting environment.source names it`;
  if (claim === undefined) return passed === 0 ? "the project declares none" : "nothing that the project declares can be had here";
  return `the project declares it (${claim})`;
}
