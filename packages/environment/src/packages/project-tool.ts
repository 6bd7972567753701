import {
  type CommandPurpose,
  type EcosystemFacts,
  GuildError,
  type ProjectFacts,
  type Sandbox,
  type Tool,
  type ToolResult,
} from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { parseProblems, type Problem } from "../problems/problems.ts";
import { testReports } from "../problems/test-reports.ts";
import { CLASSIC_YARN } from "../project/node.ts";
import { sandboxFiles } from "../project/sandbox-files.ts";
import type { AdvisorySource } from "./advisories.ts";
import { type LockedPackage, lockedPackages } from "./locked-packages.ts";
import { isPackageName, packageCommand, type PackageOperation, tellsOutdated } from "./package-commands.ts";

const PACKAGE_OPERATIONS = ["list", "outdated", "add", "remove", "update", "install", "audit"] as const;
const PURPOSES = ["build", "test", "lint", "format", "typecheck"] as const;

const schema = z.strictObject({
  action: z
    .enum([...PURPOSES, ...PACKAGE_OPERATIONS])
    .describe("build, test, lint, format, typecheck: the project's own command; list … audit: its packages"),
  directory: z.string().optional().describe("Part of the project, relative to the workspace; default its root"),
  manager: z.string().optional().describe("Which, where a directory has several: npm, pip, cargo, make, …"),
  packages: z.array(z.string()).max(50).optional().describe("add, remove, update: names, with a version where one is wanted"),
  development: z.boolean().optional().describe("add: only needed for development"),
  timeout_s: z.int().min(1).max(3_600).optional().describe("Default 600"),
});
type Input = z.output<typeof schema>;

const READS: ReadonlySet<string> = new Set(["list", "outdated", "audit", "lint", "typecheck"]);
const MOST_OUTPUT = 4_000;
const MOST_PROBLEMS = 40;
const MOST_PACKAGES = 2_000;

export interface ProjectToolOptions {
  /** What the project is, now. */
  facts(): Promise<ProjectFacts>;
  advisories: AdvisorySource;
}

/**
 * Drives whatever package managers and build tools the project has through one interface: packages are listed, added, removed, updated, installed from the lock file
 * and compared with advisories; builds, tests and linters run by the project's own commands, their problems with file, line, severity and message in `data`.
 */
export function createProjectTool(options: ProjectToolOptions): Tool<typeof schema> {
  return {
    name: "project",
    description:
      "Build, test, lint, format or typecheck the project by its own commands, with problems as file:line; or work on its packages with whatever manager it has: list, outdated, add, remove, update, install (exactly the lock file), audit (known vulnerabilities).",
    schema,
    source: "environment",
    lazy: true,
    risk: ({ action }) =>
      READS.has(action) ? Risk.LOW : action === "add" || action === "update" || action === "install" ? Risk.HIGH : Risk.MEDIUM,
    resources: ({ action }) => [{ name: "workspace", access: READS.has(action) ? "read" : "write" }],
    repeatable: ({ action }) => READS.has(action),
    async execute(input, { session, signal, progress }) {
      try {
        const facts = await options.facts();
        if (input.action === "audit") return await audit(session.sandbox, input, options.advisories);
        const { command, directory } = commandFor(facts, input);
        return await run(session.sandbox, command, { action: input.action, directory, seconds: input.timeout_s ?? 600, signal, progress });
      } catch (error) {
        const own = GuildError.from(error);
        if (own.code === "internal" || signal.aborted) throw own;
        return { status: "error", output: own.line };
      }
    },
  };
}

/** The command line, for a shell, and where it runs. */
function commandFor({ ecosystems }: ProjectFacts, input: Input): { command: string; directory: string } {
  const { action, packages = [], development = false } = input;
  const directory = (input.directory ?? "").replace(/^\.\/?|\/$/g, "");
  const here = ecosystems.filter((one) => one.directory === directory && (input.manager === undefined || one.manager === input.manager));
  if (here.length === 0) {
    const known = ecosystems.map((one) => `${one.manager} in ${one.directory || "."}`).join(", ");
    throw new GuildError("not_found", `no package manager or build tool was found in ${directory || "the project's root"}`, {
      remedy: known === "" ? "use the shell" : `there are ${known}`,
    });
  }
  const bad = packages.find((name) => !isPackageName(name));
  if (bad !== undefined) throw new GuildError("invalid_argument", `${JSON.stringify(bad)} is no package name`);
  for (const one of here) {
    const command = isPurpose(action)
      ? one.commands.find(({ purpose }) => purpose === action)?.command
      : packageLine(one, action, packages, development);
    if (command !== undefined) return { command, directory };
  }
  const managers = here.map(({ manager }) => manager).join(", ");
  throw new GuildError("unsupported", `${managers} has no ${action} here${packages.length === 0 ? "" : " for these packages"}`, {
    remedy: action === "add" || action === "remove" ? "name the packages" : "use the shell",
  });
}

function packageLine(
  { manager, commands }: EcosystemFacts,
  action: string,
  packages: readonly string[],
  development: boolean,
): string | undefined {
  const install = commands.find(({ purpose }) => purpose === "install")?.command;
  const spoken = install === CLASSIC_YARN ? "yarn classic" : manager;
  const words = packageCommand(spoken, action as PackageOperation, packages, development);
  return words?.map((word) => (/^[\w@./:=+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`)).join(" ");
}

function isPurpose(action: string): action is CommandPurpose & (typeof PURPOSES)[number] {
  return PURPOSES.some((purpose) => purpose === action);
}

async function run(
  sandbox: Sandbox,
  command: string,
  how: { action: Input["action"]; directory: string; seconds: number; signal: AbortSignal; progress(text: string): void },
): Promise<ToolResult> {
  const cwd = how.directory === "" ? sandbox.workspace : `${sandbox.workspace}/${how.directory}`;
  const reports = how.action === "test" ? await testReports(sandbox.files, cwd) : undefined;
  // Their own exit code, and colours off; what they print is kept by its end, where summaries are.
  const execution = await sandbox.exec(
    {
      argv: ["/run/guildhall/bin/bash", "-c", command],
      cwd,
      env: { CI: "1", NO_COLOR: "1", FORCE_COLOR: "0" },
      limits: { wallSeconds: how.seconds },
    },
    how.signal,
  );
  let text = "";
  try {
    for await (const { stream, bytes } of execution.output) {
      if (stream === "control") continue;
      const chunk = Buffer.from(bytes).toString("utf8");
      how.progress(chunk);
      text = (text + chunk).slice(-2 * 1024 * 1024);
    }
    const { code, signal, limit } = await execution.exit;
    const printed = parseProblems(text);
    // What is said in both would count twice.
    const told = code === 0 || printed.some(({ severity }) => severity === "error");
    const problems = told || reports === undefined ? printed : [...printed, ...parseProblems(await reports.read())];
    const packages = how.action === "list" ? await pinned(sandbox, how.directory) : {};
    const ended =
      limit === undefined ? (code === undefined ? `was ended by ${signal ?? "a signal"}` : `exit code ${code}`) : `${limit} limit reached`;
    return {
      // Without a word it was no answer.
      status: code === 0 || (tellsOutdated(how.action, code) && /\d/.test(text) && !/\berr(or)?!?\b/i.test(text)) ? "ok" : "error",
      output: described(command, ended, problems, text),
      data: { command, exit_code: code ?? null, limit: limit ?? null, problems, ...packages },
    };
  } finally {
    await execution.close();
  }
}

/** What is listed, as the lock file has it; nothing where there is none. */
async function pinned(sandbox: Sandbox, directory: string): Promise<{ packages?: LockedPackage[] }> {
  const { packages, files } = await lockedPackages(sandboxFiles(sandbox), directory);
  return files.length === 0 ? {} : { packages: packages.slice(0, MOST_PACKAGES) };
}

function described(command: string, ended: string, problems: readonly Problem[], text: string): string {
  const count = (severity: Problem["severity"]): number => problems.filter((one) => one.severity === severity).length;
  const lines = problems
    .toSorted((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))
    .slice(0, MOST_PROBLEMS)
    .map(
      ({ file, line, column, severity, message, code }) =>
        `${file}${line > 0 ? `:${line}` : ""}${column > 0 ? `:${column}` : ""}: ${severity}${code === "" ? "" : ` ${code}`}: ${message}`,
    );
  const summary = problems.length === 0 ? "" : `${count("error")} errors, ${count("warning")} warnings\n${lines.join("\n")}\n`;
  const rest = text.trim();
  const tail = rest.length > MOST_OUTPUT ? `…${rest.slice(-MOST_OUTPUT)}` : rest;
  return `$ ${command}\n${ended}\n${summary}${problems.length > 0 && ended === "exit code 0" ? "" : tail}`.trim();
}

const ORDER: ReadonlyArray<Problem["severity"]> = ["error", "warning", "note"];

async function audit(sandbox: Sandbox, input: Input, advisories: AdvisorySource): Promise<ToolResult> {
  const { packages, files } = await lockedPackages(sandboxFiles(sandbox), (input.directory ?? "").replace(/^\.\/?|\/$/g, ""));
  if (files.length === 0)
    throw new GuildError("not_found", "no lock file was found, so that no version is known", {
      remedy: "install first, or name the directory",
    });
  const findings = await advisories.find(packages);
  const lines = findings.map(
    ({ package: one, id, severity, summary, fixed }) =>
      `${one.name} ${one.version}: ${severity} ${id}: ${summary}${fixed === "" ? "" : ` (mended in ${fixed})`}`,
  );
  const head = `${packages.length} packages of ${files.join(", ")}: ${findings.length === 0 ? "no known vulnerability" : `${findings.length} known vulnerabilities`}`;
  return { status: "ok", output: [head, ...lines.slice(0, 60)].join("\n"), data: { packages: packages.length, findings } };
}
