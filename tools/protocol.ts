/**
 * The protocol's gate. `check`: lint, format, nothing that breaks the accepted protocol, generated code up to date. `accept`: formats,
 * generates, and makes the present protocol the accepted one (`packages/protocol/baseline.binpb`, committed with the change), unless it
 * breaks that; `accept --breaking` is for a break that docs/decisions gives the reason of.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

const root = dirname(import.meta.dirname);
const home = join(root, "packages/protocol");
const baseline = "baseline.binpb";

const [command, flag] = process.argv.slice(2);
if (command === "accept") accept(flag === "--breaking");
else check();

function accept(breaking: boolean): void {
  demand("buf format", ["format", "-w"]);
  demand("buf lint", ["lint"]);
  if (!breaking && existsSync(join(home, baseline))) demand("buf breaking", ["breaking", "--against", baseline]);
  demand("buf generate", ["generate"]);
  demand("buf build", ["build", "--exclude-source-info", "-o", baseline]);
}

function check(): void {
  demand("buf lint", ["lint"]);
  demand("buf format", ["format", "-d", "--exit-code"]);
  demand("buf breaking", ["breaking", "--against", baseline]);
  // Inside the project, so that the plug-in is found; apart, so that a check changes nothing.
  mkdirSync(join(root, ".cache"), { recursive: true });
  const scratch = mkdtempSync(join(root, ".cache/protocol-"));
  try {
    demand("buf build", ["build", "--exclude-source-info", "-o", join(scratch, baseline)]);
    demand("buf generate", ["generate", "-o", scratch]);
    const stale = differences(join(home, "src/gen"), join(scratch, "src/gen"));
    if (!readFileSync(join(scratch, baseline)).equals(readFileSync(join(home, baseline)))) stale.push(baseline);
    if (stale.length > 0) fail(`not what the .proto files say: ${stale.join(", ")}`);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Files that differ between two folders, or are in one of them only. */
function differences(left: string, right: string): string[] {
  const names = new Set([left, right].flatMap((cwd) => globSync("**/*.ts", { cwd })));
  const read = (path: string): string | undefined => (existsSync(path) ? readFileSync(path, "utf8") : undefined);
  return [...names].filter((name) => read(join(left, name)) !== read(join(right, name)));
}

function demand(what: string, args: string[]): void {
  const { status, error } = spawnSync(join(root, "node_modules/.bin/buf"), args, {
    cwd: home,
    stdio: "inherit",
    env: { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"] ?? ""}` },
  });
  if (status !== 0) fail(`${what} failed${error === undefined ? "" : `: ${error.message}`}`);
}

function fail(message: string): never {
  console.error(`protocol: ${message}`);
  process.exit(1);
}
