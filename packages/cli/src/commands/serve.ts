import type { Context } from "../client/context.ts";
import { runDaemonProgram } from "../client/daemon-process.ts";

/** `guild serve`: stays in the foreground until it is told to end. */
export function serve(context: Context, names: string[], options: { config?: string; listen?: string; join?: string }): Promise<number> {
  const more = (["config", "listen", "join"] as const).flatMap((name) => (options[name] === undefined ? [] : [`--${name}`, options[name]]));
  return runDaemonProgram(context, ["--foreground", "--serve", names.join(","), ...more]);
}
