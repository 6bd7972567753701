import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Environment } from "@guildhall/core";
import type { Generation } from "@guildhall/environment";
import type { EnvironmentChangeSchema, EnvironmentSchema, EnvironmentService, GenerationSchema, ProjectSchema } from "@guildhall/protocol";

import { checkWorkspace } from "../worker/workspace.ts";
import { type EnvironmentChange, EnvironmentChanges } from "./environment-changes.ts";
import type { Environments, KnownEnvironment } from "./environments.ts";

/** Environments of projects. */
export function environmentService({ environments }: { environments: Environments }): ServiceImpl<typeof EnvironmentService> {
  const changes = new EnvironmentChanges(environments);
  const placeOf = ({ directory, sandbox }: { directory: string; sandbox: string }) => ({
    workspace: checkWorkspace(directory),
    provider: sandbox,
  });
  return {
    async showEnvironment(request) {
      const place = placeOf(request);
      // A person who asks may just have changed what is looked at.
      environments.changed(place);
      const known = await environments.resolve(place);
      return { environment: environmentMessage(known.environment), project: projectMessage(known), awareness: known.awareness };
    },
    async *setEnvironment(request, context) {
      const lines: string[] = [];
      let wake = Promise.withResolvers<void>();
      const progress = (line: string): void => {
        lines.push(line);
        wake.resolve();
      };
      let done = false;
      const setting = changes.set(placeOf(request), { signal: context.signal, progress }).finally(() => {
        done = true;
        wake.resolve();
      });
      setting.catch(() => undefined); // awaited below
      while (!done || lines.length > 0) {
        if (lines.length === 0) await wake.promise;
        wake = Promise.withResolvers();
        for (const value of lines.splice(0)) yield { kind: { case: "progress", value } };
      }
      yield { kind: { case: "change", value: changeMessage(await setting) } };
    },
    async rollBackEnvironment(request) {
      const number = request.generation === 0 ? undefined : request.generation;
      return { change: changeMessage(await changes.rollBack(placeOf(request), number)) };
    },
    async listGenerations(request) {
      const place = placeOf(request);
      const generations = await environments.generations();
      const current = generations.current(environments.project(place));
      return { generations: generations.list(environments.project(place)).map((one) => generationMessage(one, current)) };
    },
    async diffGenerations(request) {
      const { diffEnvironments } = await import("@guildhall/environment");
      const generations = await environments.generations();
      const [from, to] = [request.from, request.to].map((number) => generations.get(environments.project(placeOf(request)), number));
      return { difference: from === undefined || to === undefined ? [] : diffEnvironments(from.environment, to.environment) };
    },
    verifyEnvironment: (request, context) => changes.verify(placeOf(request), context.signal),
    collectGenerations: (request, context) => changes.collect(placeOf(request), request.keep, context.signal),
    async copyEnvironment(request, context) {
      const { store, fetch } = request;
      return { storePaths: await changes.copy(placeOf(request), { store, fetch }, context.signal) };
    },
    async draftFlake({ directory }) {
      const { writeFlake } = await import("@guildhall/environment");
      const { facts } = await environments.resolve({ workspace: checkWorkspace(directory), provider: "" });
      return { text: writeFlake(facts) };
    },
  };
}

function environmentMessage({ tools, ...environment }: Environment): MessageInitShape<typeof EnvironmentSchema> {
  const { kind, source, reason, hash, generation, pure, shellHook } = environment;
  return {
    kind,
    source,
    reason,
    hash,
    generation,
    pure,
    shellHook,
    variables: { ...environment.variables },
    path: [...environment.path],
    mounts: environment.mounts.map((mount) => ({ ...mount })),
    differences: [...environment.differences],
    tools: tools.map((tool) => ({ ...tool })),
  };
}

function changeMessage({ generation, difference }: EnvironmentChange): MessageInitShape<typeof EnvironmentChangeSchema> {
  return { generation: generationMessage(generation, generation), difference };
}

function generationMessage(
  one: Generation,
  current: { number: number; held: boolean } | undefined,
): MessageInitShape<typeof GenerationSchema> {
  const { number, time, why, environment } = one;
  const isCurrent = number === current?.number;
  const { hash, kind, source } = environment;
  return { number, time, why, current: isCurrent, held: isCurrent && current.held, hash, kind, source };
}

function projectMessage({ facts, languageServers }: KnownEnvironment): MessageInitShape<typeof ProjectSchema> {
  return {
    ecosystems: facts.ecosystems.map((one) => ({
      ...one,
      scripts: { ...one.scripts },
      commands: one.commands.map((command) => ({ ...command })),
    })),
    services: facts.services.map((service) => ({ ...service, ports: [...service.ports] })),
    problems: [...facts.problems],
    languageServers: languageServers.map((one) => ({ ...one })),
  };
}
