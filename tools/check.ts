/**
 * The gate: every stage in order, each with its time; stops at the first that fails and says what to do. `--all` goes on,
 * `--only a,b` and `--skip a,b` choose, `--list` shows.
 */
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";

interface Stage {
  name: string;
  command: [string, ...string[]];
  remedy: string;
  /** Its output is of interest when it succeeds too. */
  loud?: boolean;
}

const stages: Stage[] = [
  { name: "lock", command: ["node", "tools/installed.mjs"], remedy: "npm install, and commit package-lock.json" },
  { name: "format", command: ["oxfmt", "--check"], remedy: "npm run format" },
  { name: "rules", command: ["node", "tools/rules.ts"], remedy: "mend the lines named; the rules are in tools/rules.ts" },
  { name: "types", command: ["tsc", "-p", "."], remedy: "mend the types" },
  { name: "lint", command: ["oxlint"], remedy: "mend the code; import boundaries are in AGENTS.md, rules in .oxlintrc.json" },
  {
    name: "protocol",
    command: ["node", "tools/protocol.ts", "check"],
    remedy: "npm run protocol; a break of the protocol needs a decision",
  },
  { name: "requirements", command: ["node", "tools/requirements.ts", "check"], remedy: "npm run requirements, or cite the row in a test" },
  { name: "dead-code", command: ["knip"], remedy: "remove what nothing uses, or export it where it is used" },
  { name: "bundle", command: ["node", "tools/build.ts"], remedy: "mend the import that the bundler names" },
  { name: "smoke", command: ["node", "tools/smoke.ts"], remedy: "run the command named by hand: node dist/guild.js …" },
  { name: "docs", command: ["node", "tools/docs.ts"], remedy: "mend the example, or what it shows" },
  { name: "tests", command: ["node", "tools/test.ts"], remedy: "npm test -- <part of the file's path> runs one file", loud: true },
];

const root = dirname(import.meta.dirname);
const options = parse(process.argv.slice(2));
const failed: Stage[] = [];
for (const stage of stages) {
  if (options.only.length > 0 ? !options.only.includes(stage.name) : options.skip.includes(stage.name)) continue;
  if (!run(stage)) {
    failed.push(stage);
    if (!options.all) break;
  }
}
if (failed.length > 0) process.exitCode = 1;

function run(stage: Stage): boolean {
  const [program, ...args] = stage.command;
  const started = performance.now();
  if (stage.loud === true) console.log(`── ${stage.name}`);
  const result = spawnSync(program === "node" ? process.execPath : join(root, "node_modules/.bin", program), args, {
    cwd: root,
    stdio: stage.loud === true ? ["ignore", "inherit", "inherit"] : ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    maxBuffer: 256 << 20,
    env: { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"] ?? ""}` },
  });
  const passed = result.status === 0;
  const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(6);
  if (!passed) console.log(`${result.stdout ?? ""}${result.stderr ?? ""}${result.error === undefined ? "" : `${result.error.message}\n`}`);
  console.log(`${passed ? "✔" : "✖"} ${stage.name.padEnd(13)}${seconds} s${passed ? "" : `   → ${stage.remedy}`}`);
  return passed;
}

function parse(args: string[]): { all: boolean; only: string[]; skip: string[] } {
  const list = (option: string): string[] => {
    const at = args.indexOf(option);
    return at < 0 ? [] : (args[at + 1] ?? "").split(",");
  };
  if (args.includes("--list")) {
    for (const stage of stages) console.log(`${stage.name.padEnd(13)} ${stage.command.join(" ")}`);
    process.exit(0);
  }
  const names = [...list("--only"), ...list("--skip")];
  const unknown = names.find((name) => !stages.some((stage) => stage.name === name));
  if (unknown !== undefined) {
    console.error(`check: no stage ${unknown}; there are ${stages.map((stage) => stage.name).join(", ")}`);
    process.exit(2);
  }
  return { all: args.includes("--all"), only: list("--only"), skip: list("--skip") };
}
