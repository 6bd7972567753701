import { homedir, tmpdir } from "node:os";

import { type Paths, resolvePaths } from "@guildhall/core/paths";

import { guardTerminal } from "../output/terminal.ts";

/** What a command is run with: the one place of the client where process and environment are read. */
export interface Context {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  uid: number;
  paths: Paths;
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  /** Styling is wanted: a terminal, and NO_COLOR is not set. */
  color: boolean;
}

/** The context of this process. Throws what `resolvePaths` throws. */
export function processContext(): Context {
  const uid = process.getuid?.() ?? 0;
  const env = process.env;
  const paths = resolvePaths({ env, home: env["HOME"] ?? homedir(), uid, tmp: tmpdir() });
  const color = process.stdout.isTTY === true && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  const [stdout, stderr] = [guardTerminal(process.stdout), guardTerminal(process.stderr)];
  return { env, cwd: process.cwd(), uid, paths, stdin: process.stdin, stdout, stderr, color };
}
