import { Risk } from "@guildhall/protocol";

import { type SimpleCommand, simpleCommands } from "./commands.ts";
import { type Finding, type ShellRisk, worst } from "./finding.ts";
import type { ShellParser } from "./parser.ts";
import { pathFindings, writeFindings } from "./paths.ts";
import { PROGRAMS } from "./programs.ts";

/**
 * Judges a bash script from its syntax tree, never from its looks.
 *
 * - low: reads, builds and tests within the workspace;
 * - medium: changes or removes things in ways that a checkpoint can undo, or installs and runs code from elsewhere;
 * - high: reaches out of the sandbox (pushes, publishes, uploads), touches credentials or what runs on the host, gains rights, destroys what no
 *   checkpoint has, or hides what it does.
 *
 * What cannot be parsed, and programs that are only known when it runs, are high.
 */
export function judgeShell(parser: ShellParser, script: string): ShellRisk {
  return parser.parse(script, (root, broken) => {
    const findings: Finding[] = broken ? [{ risk: Risk.HIGH, reason: "it is not valid bash" }] : [];
    for (const command of simpleCommands(root)) findings.push(...judgeCommand(parser, command));
    if (/:\s*\(\)\s*\{[^}]*:\s*\|\s*:/.test(script)) findings.push({ risk: Risk.HIGH, reason: "a fork bomb" });
    return worst(findings);
  });
}

function judgeCommand(parser: ShellParser, command: SimpleCommand): Finding[] {
  const findings = [...writeFindings(command.writes), ...assignmentFindings(command.assignments), ...pathFindings(command.arguments)];
  const name = command.name.text.replace(/^.*\//, "");
  if (command.name.dynamic)
    findings.push({ risk: Risk.HIGH, reason: `which program \`${command.name.text}\` is, is known only when it runs` });
  else findings.push(...(PROGRAMS.get(name)?.(command, (script) => judgeShell(parser, script)) ?? unknown(command, name)));
  return findings;
}

/** A script of the workspace runs in the sandbox like any test; a program that no rule knows is not trusted so far. */
function unknown(command: SimpleCommand, name: string): Finding[] {
  const local = /^(\.{1,2}\/|[\w.-]+\/)/.test(command.name.text);
  return local ? [] : [{ risk: Risk.MEDIUM, reason: `nothing is known of \`${name}\`` }];
}

const DANGEROUS_VARIABLES =
  /^(LD_PRELOAD|LD_LIBRARY_PATH|LD_AUDIT|PATH|NODE_OPTIONS|PYTHONPATH|PYTHONSTARTUP|PERL5LIB|RUBYOPT|BASH_ENV|ENV|PROMPT_COMMAND|IFS|GIT_[A-Z_]*|EDITOR|PAGER|SHELL)=/;

function assignmentFindings(assignments: readonly string[]): Finding[] {
  return assignments
    .filter((assignment) => DANGEROUS_VARIABLES.test(assignment))
    .map((assignment) => ({ risk: Risk.MEDIUM, reason: `${assignment.split("=", 1)[0]} changes what programs run` }));
}
