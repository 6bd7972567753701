import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Environment } from "@guildhall/core";
import type { EnvironmentSchema, EnvironmentService, ProjectSchema } from "@guildhall/protocol";

import { checkWorkspace } from "../worker/workspace.ts";
import type { Environments, KnownEnvironment } from "./environments.ts";

/** Environments of projects. */
export function environmentService({ environments }: { environments: Environments }): ServiceImpl<typeof EnvironmentService> {
  return {
    async showEnvironment({ directory, sandbox }) {
      const known = await environments.resolve({ workspace: checkWorkspace(directory), provider: sandbox });
      return { environment: environmentMessage(known.environment), project: projectMessage(known), awareness: known.awareness };
    },
  };
}

function environmentMessage({ tools, ...environment }: Environment): MessageInitShape<typeof EnvironmentSchema> {
  return {
    ...environment,
    variables: { ...environment.variables },
    path: [...environment.path],
    mounts: environment.mounts.map((mount) => ({ ...mount })),
    differences: [...environment.differences],
    tools: tools.map((tool) => ({ ...tool })),
  };
}

function projectMessage({ facts }: KnownEnvironment): MessageInitShape<typeof ProjectSchema> {
  return {
    ecosystems: facts.ecosystems.map((one) => ({
      ...one,
      scripts: { ...one.scripts },
      commands: one.commands.map((command) => ({ ...command })),
    })),
    services: facts.services.map((service) => ({ ...service, ports: [...service.ports] })),
    problems: [...facts.problems],
    languageServers: [],
  };
}
