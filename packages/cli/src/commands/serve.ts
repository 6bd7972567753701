import { resolve } from "node:path";

import type { Context } from "../client/context.ts";
import { runDaemonProgram } from "../client/daemon-process.ts";

/** `guild serve`: stays in the foreground until it is told to end. */
export function serve(context: Context, names: string[], options: { config?: string; listen?: string; join?: string }): Promise<number> {
  const more = (["config", "listen", "join"] as const).flatMap((name) => (options[name] === undefined ? [] : [`--${name}`, options[name]]));
  return runDaemonProgram(context, ["--foreground", "--serve", names.join(","), ...more]);
}

/** `guild certs`: done by the server's program, which has what it takes to sign. */
export function certificates(
  context: Context,
  request:
    | { do: "init" }
    | { do: "issue"; name: string; host: string[]; out?: string; days: number }
    | { do: "join-token"; name: string; host: string[]; minutes: number; days: number },
): Promise<number> {
  const absolute = request.do === "issue" && request.out !== undefined ? { ...request, out: resolve(context.cwd, request.out) } : request;
  return runDaemonProgram(context, ["--certs", JSON.stringify(absolute)]);
}
