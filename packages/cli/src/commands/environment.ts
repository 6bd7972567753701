import { toJson } from "@bufbuild/protobuf";
import { GuildError } from "@guildhall/core";
import { type Environment, EnvironmentSchema, type Project, ProjectSchema } from "@guildhall/protocol";

import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { createStyle, oneLine } from "../output/style.ts";
import { workspaceOf } from "./arguments.ts";
import { withConnection } from "./session.ts";

interface ShowOptions {
  workspace?: string;
  sandbox?: string;
  json?: boolean;
}

/** `guild env show`. */
export function show(context: Context, options: ShowOptions): Promise<number> {
  return withConnection(context, async (connection) => {
    const directory = workspaceOf(context, options.workspace);
    const { environment, project, awareness } = await connection.environments.showEnvironment({
      directory,
      sandbox: options.sandbox ?? "",
    });
    if (environment === undefined || project === undefined) throw new GuildError("internal", "the daemon answered without a result");
    if (options.json === true) context.stdout.write(`${JSON.stringify(jsonOf(directory, environment, project, awareness))}\n`);
    else print(context, environment, project);
    return exitCode.done;
  });
}

function jsonOf(directory: string, environment: Environment, project: Project, awareness: string): Record<string, unknown> {
  const options = { useProtoFieldName: true, alwaysEmitImplicit: true };
  const scripts = project.ecosystems.map(({ directory: at, manager, scripts: own }) => ({ directory: at, manager, scripts: own }));
  return {
    id: directory,
    type: "environment",
    ...(toJson(EnvironmentSchema, environment, options) as Record<string, unknown>),
    scripts,
    ...(toJson(ProjectSchema, project, options) as Record<string, unknown>),
    awareness,
  };
}

function print(context: Context, environment: Environment, project: Project): void {
  const style = createStyle(context.color);
  const line = (text: string): void => void context.stdout.write(`${text}\n`);
  line(`${style.bold(oneLine(environment.source, 200))}  ${style.dim(`(${environment.kind}: ${oneLine(environment.reason, 200)})`)}`);
  line(`${environment.hash}${environment.generation === 0 ? "" : `  generation ${environment.generation}`}`);
  for (const difference of environment.differences) line(`${style.warn("differs")} ${oneLine(difference, 300)}`);
  for (const problem of project.problems) line(`${style.warn("unread")}  ${oneLine(problem, 300)}`);
  for (const { name, version, path } of environment.tools) line(`  ${name.padEnd(14)} ${version.padEnd(12)} ${style.dim(path)}`);
  for (const one of project.ecosystems) {
    line(`${style.bold(one.manager)} ${oneLine(one.directory === "" ? one.manifest : `${one.directory}/${one.manifest}`, 200)}`);
    for (const { purpose, command } of one.commands) line(`  ${purpose.padEnd(10)} ${oneLine(command, 200)}`);
    const names = Object.keys(one.scripts);
    if (names.length > 0) line(style.dim(`  scripts    ${oneLine(names.join(", "), 300)}`));
  }
  for (const { name, image, ports } of project.services)
    line(`${style.bold("service")} ${oneLine([name, image, ports.join(", ")].join("  "), 200)}`);
  for (const { language, command, state, detail } of project.languageServers)
    line(
      `${style.bold("language server")} ${language}  ${state === "available" ? command : style.dim(`missing: ${oneLine(detail, 200)}`)}`,
    );
}
