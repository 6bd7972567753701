/**
 * Holds the documents to the code: TypeScript examples compile, data examples parse, commands and their options exist, npm scripts
 * exist, links and paths lead somewhere. Needs the bundle.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { parse as parseToml } from "smol-toml";
import { parse as parseYaml } from "yaml";

import { commandsIn, examplesIn, linksIn, pathsIn, type Example } from "./docs/extract.ts";

const root = dirname(import.meta.dirname);
const scratch = join(root, ".cache/docs");
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };
const help = new Map<string, string>();
const faults: string[] = [];

const documents = globSync("{README,AGENTS}.md", { cwd: root }).concat(
  globSync("{docs,packages/*,samples}/**/*.md", { cwd: root, exclude: ["**/node_modules/**"] }),
);
rmSync(scratch, { recursive: true, force: true });
mkdirSync(scratch, { recursive: true });
for (const document of documents.filter((path) => path !== "docs/mission.md")) {
  const text = readFileSync(join(root, document), "utf8");
  const complain = (fault: string): void => void faults.push(`${document}: ${fault}`);
  for (const example of examplesIn(text)) checkData(example, document, complain);
  for (const words of commandsIn(text)) checkCommand(words, complain);
  for (const link of linksIn(text)) {
    if (!existsSync(join(root, dirname(document), link))) complain(`the link ${link} leads nowhere`);
  }
  for (const path of pathsIn(text)) {
    if (!existsSync(join(root, path))) complain(`${path} does not exist`);
  }
}
checkTypes();
rmSync(scratch, { recursive: true, force: true });
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exitCode = 1;

function checkData(example: Example, document: string, complain: (fault: string) => void): void {
  try {
    if (example.language === "json") JSON.parse(example.text);
    if (example.language === "toml") parseToml(example.text);
    if (example.language === "yaml") parseYaml(example.text);
  } catch (error) {
    complain(`line ${example.line}: the ${example.language} example does not parse: ${String(error)}`);
  }
  if (example.language !== "ts") return;
  // An example is a module; what it only declares is used by its reader.
  writeFileSync(join(scratch, `${document.replaceAll(/[^a-z0-9]+/gi, "-")}-${example.line}.ts`), `${example.text}\nexport {};\n`);
}

function checkTypes(): void {
  if (globSync("*.ts", { cwd: scratch }).length === 0) return;
  const config = {
    extends: "../../tsconfig.json",
    compilerOptions: { noUnusedLocals: false, noUnusedParameters: false, types: ["node"] },
    include: ["*.ts"],
  };
  writeFileSync(join(scratch, "tsconfig.json"), JSON.stringify(config));
  const { status, stdout } = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", scratch], { cwd: root, encoding: "utf8" });
  if (status !== 0) faults.push(`examples that do not compile (the number is the line):\n${stdout}`);
}

function checkCommand(words: string[], complain: (fault: string) => void): void {
  const [program = "", ...args] = words;
  if (program === "npm") {
    const script = args[0] === "run" ? args[1] : args[0] === "test" ? "test" : undefined;
    if (script !== undefined && scripts[script] === undefined) complain(`npm run ${script}: no such script`);
    return;
  }
  const names = args.slice(0, 2).filter((word) => /^[a-z]+$/.test(word));
  const text = helpOf(names);
  if (text === undefined) {
    complain(`\`${words.join(" ")}\`: no such command`);
    return;
  }
  for (const option of args.slice(0, args.includes("--") ? args.indexOf("--") : undefined).filter((word) => /^--[a-z]/.test(word))) {
    const name = option.split("=")[0] ?? option;
    if (!text.includes(name)) complain(`\`${words.join(" ")}\`: no option ${name}`);
  }
}

/** Help of the command that the words name: of both, else of the first with the second as its argument. */
function helpOf(names: string[]): string | undefined {
  const key = names.join(" ");
  const known = help.get(key);
  if (known !== undefined) return known;
  const { status, stdout } = spawnSync(process.execPath, [join(root, "dist/guild.js"), ...names, "--help"], {
    encoding: "utf8",
    timeout: 30_000,
  });
  const usage = /Usage: guild ?([a-z ]*)/.exec(stdout)?.[1]?.trim() ?? "";
  if (status !== 0 || (names.length > 0 && usage === "")) return undefined;
  help.set(key, stdout);
  return stdout;
}
