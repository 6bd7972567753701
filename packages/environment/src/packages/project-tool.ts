import {
  type CommandPurpose,
  type EcosystemFacts,
  GuildError,
  type ProjectFacts,
  type ProjectFiles,
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
import { type Answer, describeOutdated, type OutdatedPackage, outdatedPackages, yarnAnswer, yarnQuestion } from "./outdated-packages.ts";
import { isPackageName, packageCommand } from "./package-commands.ts";

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
/** Characters of what a command prints. */
const MOST_KEPT = 2 * 1024 * 1024;

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
        const found = await commandFor(facts, input, sandboxFiles(session.sandbox));
        return await run(session.sandbox, { ...found, action: input.action, seconds: input.timeout_s ?? 600, signal, progress });
      } catch (error) {
        const own = GuildError.from(error);
        if (own.code === "internal" || signal.aborted) throw own;
        return { status: "error", output: own.line };
      }
    },
  };
}

/** The command line, for a shell, where it runs, and by whose words. */
async function commandFor(
  { ecosystems }: ProjectFacts,
  input: Input,
  files: ProjectFiles,
): Promise<{ command: string; directory: string; manager: string }> {
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
    const manager = spokenBy(one);
    const command = isPurpose(action)
      ? one.commands.find(({ purpose }) => purpose === action)?.command
      : shellLine(
          manager === "yarn" && action === "outdated"
            ? await yarnQuestion(files, directory)
            : packageCommand(manager, action, packages, development),
        );
    if (command !== undefined) return { command, directory, manager };
  }
  const managers = here.map(({ manager }) => manager).join(", ");
  throw new GuildError("unsupported", `${managers} has no ${action} here${packages.length === 0 ? "" : " for these packages"}`, {
    remedy: action === "add" || action === "remove" ? "name the packages" : "use the shell",
  });
}

/** The manager, as the table of command lines has it. */
function spokenBy({ manager, commands }: EcosystemFacts): string {
  return commands.find(({ purpose }) => purpose === "install")?.command === CLASSIC_YARN ? "yarn classic" : manager;
}

function shellLine(words: readonly string[] | undefined): string | undefined {
  return words?.map((word) => (/^[\w@./:=+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`)).join(" ");
}

function isPurpose(action: string): action is CommandPurpose & (typeof PURPOSES)[number] {
  return PURPOSES.some((purpose) => purpose === action);
}

async function run(
  sandbox: Sandbox,
  how: {
    command: string;
    directory: string;
    manager: string;
    action: Input["action"];
    seconds: number;
    signal: AbortSignal;
    progress(text: string): void;
  },
): Promise<ToolResult> {
  const { command } = how;
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
  let stdout = "";
  try {
    for await (const { stream, bytes } of execution.output) {
      if (stream === "control") continue;
      const chunk = Buffer.from(bytes).toString("utf8");
      how.progress(chunk);
      text = (text + chunk).slice(-MOST_KEPT);
      if (how.action === "outdated" && stream === "stdout") stdout = (stdout + chunk).slice(-MOST_KEPT);
    }
    const { code, signal, limit } = await execution.exit;
    const printed = parseProblems(text);
    // What is said in both would count twice.
    const told = code === 0 || printed.some(({ severity }) => severity === "error");
    const problems = told || reports === undefined ? printed : [...printed, ...parseProblems(await reports.read())];
    const packages = how.action === "list" ? await pinned(sandbox, how.directory) : {};
    const outdated = how.action === "outdated" ? await olderOnes(sandbox, how, { text, stdout }, code) : undefined;
    const ended =
      limit === undefined ? (code === undefined ? `was ended by ${signal ?? "a signal"}` : `exit code ${code}`) : `${limit} limit reached`;
    return {
      status: code === 0 || outdated !== undefined ? "ok" : "error",
      output: described(command, ended, problems, outdated === undefined ? text : describeOutdated(outdated)),
      data: {
        command,
        exit_code: code ?? null,
        limit: limit ?? null,
        problems,
        ...packages,
        ...(outdated === undefined ? {} : { outdated: outdated.slice(0, MOST_PACKAGES) }),
      },
    };
  } finally {
    await execution.close();
  }
}

/** Undefined: the answer was not understood. */
async function olderOnes(
  sandbox: Sandbox,
  { manager, directory }: { manager: string; directory: string },
  answer: Answer,
  code: number | undefined,
): Promise<OutdatedPackage[] | undefined> {
  if (manager !== "yarn") return outdatedPackages(manager, answer, code);
  return code === 0 ? await yarnAnswer(sandboxFiles(sandbox), directory, answer.stdout) : undefined;
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
