import { GuildError } from "@guildhall/core";
import type { Trust } from "@guildhall/protocol";

import type { Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { createStyle, oneLine } from "../output/style.ts";
import { workspaceOf } from "./arguments.ts";
import { withConnection } from "./session.ts";

interface JsonOption {
  json?: boolean;
}

/** `guild trust show`. */
export function show(context: Context, dir: string | undefined, options: JsonOption): Promise<number> {
  return answer(context, dir, options, (connection, directory) => connection.access.showTrust({ directory }));
}

/** `guild trust add`. */
export function add(context: Context, dir: string | undefined, options: JsonOption & { digest?: string }): Promise<number> {
  return answer(context, dir, options, (connection, directory) => connection.access.addTrust({ directory, digest: options.digest ?? "" }));
}

/** `guild trust revoke`. */
export function revoke(context: Context, dir: string | undefined, options: JsonOption): Promise<number> {
  return answer(context, dir, options, (connection, directory) => connection.access.revokeTrust({ directory }));
}

function answer(
  context: Context,
  dir: string | undefined,
  options: JsonOption,
  ask: (connection: Connection, directory: string) => Promise<{ trust?: Trust | undefined }>,
): Promise<number> {
  return withConnection(context, async (connection) => {
    const { trust } = await ask(connection, workspaceOf(context, dir));
    if (trust === undefined) throw new GuildError("internal", "the daemon answered without a result");
    const { directory, state, digest } = trust;
    const files = trust.files.map((file) => ({ path: file.path, digest: file.digest, state: file.state }));
    if (options.json === true) {
      context.stdout.write(`${JSON.stringify({ id: directory, type: "trust", state, digest, files })}\n`);
      return exitCode.done;
    }
    const style = createStyle(context.color);
    const tone = state === "trusted" || state === "nothing" ? style.good : style.warn;
    context.stdout.write(`${tone(state)}: ${oneLine(directory, 500)} — ${meaning[state] ?? ""}\n`);
    for (const file of files) context.stdout.write(`  ${file.state.padEnd(8)} ${oneLine(file.path, 300)}\n`);
    if (state === "untrusted" || state === "changed")
      context.stdout.write(style.dim(`read these files, then: guild trust add ${directory} --digest ${digest}\n`));
    return exitCode.done;
  });
}

const meaning: Readonly<Record<string, string>> = {
  nothing: "it brings nothing that would need trust",
  untrusted: "nothing of it has any effect",
  trusted: "it counts, as it is now",
  changed: "it is not what was trusted: the change has no effect",
};
