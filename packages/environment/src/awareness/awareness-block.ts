import type { Environment, EcosystemFacts, ProjectFacts } from "@guildhall/core";

/** What an agent is told of where it works, besides environment and project. */
export interface Surrounding {
  /** `linux x64`. */
  platform: string;
  /** Line of git's state; undefined: no repository. */
  git?: string;
  /** `typescript (tsc --lsp)`, … */
  languageServers: readonly string[];
  /** Ports that something listens on already. */
  ports: readonly string[];
}

/** About four characters make a token of English and code; the block stays below 1,500 tokens. */
const MOST_CHARACTERS = 5_200;

/**
 * The text on environment and project for the prompt, below 1,500 tokens for whatever project: the most needed first, and what is left
 * out is said. The same facts give the same bytes. File names and scripts are the project's own words: data, cut to a line.
 */
export function awarenessBlock(environment: Environment, facts: ProjectFacts, around: Surrounding): string {
  const sections: string[][] = [
    [
      `- Platform: ${around.platform}`,
      `- Environment: ${line(environment.source, 120)} (${environment.kind}; ${environment.hash.slice(0, 19)}${environment.generation > 0 ? `; generation ${environment.generation}` : ""})`,
      ...environment.differences.map((difference) => `- Note: ${line(difference, 200)}`).slice(0, 8),
      toolsLine(environment),
      ...besideLine(environment),
      ...(around.git === undefined ? [] : [`- Git: ${line(around.git, 160)}`]),
      ...(around.languageServers.length === 0 ? [] : [`- Language servers: ${around.languageServers.join(", ")}`]),
      ...(around.ports.length === 0 ? [] : [`- Listening: ${around.ports.join(", ")}`]),
    ],
    ...facts.ecosystems.map(ecosystemLines),
    facts.services
      .slice(0, 12)
      .map(
        ({ name, image, ports, file }) =>
          `- Service ${name} (${file})${image === "" ? "" : `: ${line(image, 80)}`}${ports.length === 0 ? "" : `, port ${ports.join(", ")}`}`,
      ),
    facts.problems.slice(0, 4).map((problem) => `- Note: ${line(problem, 160)}`),
  ];
  return bounded(sections.flat());
}

function besideLine({ services = [] }: Environment): string[] {
  if (services.length === 0) return [];
  const names = services.slice(0, 12).map(({ name }) => name);
  const more = services.length > names.length ? `, and ${services.length - names.length} more` : "";
  return [`- Services started beside it, each at its name and its own port: ${names.join(", ")}${more}`];
}

function toolsLine({ tools }: Environment): string {
  const known = tools.map(({ name, version }) => (version === "" ? name : `${name} ${version}`));
  return `- Tools: ${known.length === 0 ? "none were found" : known.join(", ")}`;
}

function ecosystemLines({ ecosystem, directory, manager, manifest, lockFile, commands, scripts }: EcosystemFacts): string[] {
  const where = directory === "" ? "" : ` in ${line(directory, 80)}/`;
  const lock = lockFile === undefined ? "" : `, ${lockFile}`;
  const names = Object.keys(scripts);
  const shown = names.slice(0, 16).map((name) => line(name, 40));
  const more = names.length > shown.length ? `, and ${names.length - shown.length} more` : "";
  return [
    `- ${ecosystem}${where}: ${manager} (${line(manifest, 60)}${lock})`,
    ...commands.map(({ purpose, command }) => `  - ${purpose}: \`${line(command, 160)}\``),
    ...(shown.length === 0 ? [] : [`  - scripts: ${shown.join(", ")}${more}`]),
  ];
}

function bounded(lines: readonly string[]): string {
  const kept: string[] = [];
  let size = 0;
  for (const [index, one] of lines.entries()) {
    size += one.length + 1;
    if (size > MOST_CHARACTERS) return [...kept, `- (${lines.length - index} more lines are left out)`].join("\n");
    kept.push(one);
  }
  return kept.join("\n");
}

/** On one line, without what could be taken for structure of the prompt. */
function line(text: string, most: number): string {
  const flat = text
    .replaceAll(/[\s\p{Cc}\p{Cf}]+/gu, " ")
    .replaceAll("`", "'")
    .replaceAll(/<(?=[/!?a-z])/gi, "‹")
    .trim();
  return flat.length > most ? `${flat.slice(0, most - 1)}…` : flat;
}
