import { spawn } from "node:child_process";
import { once } from "node:events";

import { GuildError, type Sandbox, type SandboxProvider } from "@guildhall/core";
import { finish } from "@guildhall/core/testing";

import type { Attack, ControlPlace } from "./attack.ts";

/** What came of a script. */
export interface Outcome {
  stdout: string;
  limit: string | undefined;
}

/** Runs an attack in a sandbox of its own, which is gone afterwards but for what got out of it. */
export async function runInSandbox(
  provider: SandboxProvider,
  attack: Attack,
  given: { workspace: string; environment: Record<string, string>; mark: string; wayOut: string },
): Promise<Outcome> {
  const limits = attack.limits === undefined ? {} : { limits: attack.limits };
  const wayOut = attack.wayOut === true ? { wayOut: { directory: given.wayOut } } : {};
  const spec = { id: `escape-${given.mark}`, workspace: given.workspace, leaseMs: 60_000, ...limits, ...wayOut };
  const sandbox: Sandbox = await provider.create(spec);
  try {
    const execution = await sandbox.exec({
      argv: ["/run/guildhall/bin/bash", "-c", attack.wayOut === true ? `${REACHES}; ${attack.script}` : attack.script],
      env: given.environment,
      limits: { wallSeconds: 60, ...attack.execution },
    });
    const { stdout, exit } = await finish(execution);
    await execution.close();
    // What is shut altogether contains anything, and shows nothing.
    if (attack.wayOut === true && !stdout.includes("public\npublic\n")) {
      throw new GuildError("internal", `the way out does not lead out: ${stdout.slice(0, 300)}`, { subject: attack.id });
    }
    return { stdout, limit: exit.limit };
  } finally {
    await sandbox.dispose();
  }
}

const REACHES = "curl -sSm 20 http://www.example.com/ https://www.example.com/ 2>&1";

const NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];

/** Runs the same without a sandbox; `as`: the ordinary user, where the caller is root. Undefined: only root could. */
export async function runOpenly(
  attack: Attack,
  given: { workspace: string; environment: Record<string, string>; as: { uid?: number; gid?: number } },
): Promise<Outcome | undefined> {
  if (attack.control === "root" && process.geteuid?.() !== 0) return undefined;
  const { command, as } = place(attack.control, given.as);
  const [program, ...args] = [...command, "bash", "-c", attack.openly ?? attack.script];
  const { PATH = "" } = process.env;
  const child = spawn(program, args, {
    cwd: given.workspace,
    env: { ...given.environment, PATH: `${given.environment["OUTSIDE"]}/bin:${PATH}`, HOME: given.workspace, ...gitIdentity },
    stdio: ["ignore", "pipe", "ignore"],
    ...as,
  });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
  await once(child, "close");
  clearTimeout(timer);
  return { stdout: Buffer.concat(chunks).toString("latin1"), limit: undefined };
}

/** Who commits, where nobody has configured it. */
export const gitIdentity = {
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@b",
  GIT_COMMITTER_NAME: "a",
  GIT_COMMITTER_EMAIL: "a@b",
  GIT_CONFIG_GLOBAL: "/dev/null",
};

function place(control: ControlPlace, as: { uid?: number; gid?: number }): { command: string[]; as: { uid?: number; gid?: number } } {
  if (control === "root") return { command: [], as: {} };
  return { command: control === "namespace" ? NAMESPACE : [], as };
}
