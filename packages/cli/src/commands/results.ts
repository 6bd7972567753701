import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { createStyle } from "../output/style.ts";
import { withConnection } from "./session.ts";

interface Options {
  json?: boolean;
  paths?: string[];
}

/** `guild session diff`: what the session has changed since its beginning. */
export function diff(context: Context, id: string, options: Options): Promise<number> {
  return withConnection(context, async ({ results }) => {
    const { apply, files, kept, diff: text } = await results.diffSession({ sessionId: id, paths: options.paths ?? [] });
    if (options.json === true) {
      for (const { path, change, held, applied } of files) {
        context.stdout.write(`${JSON.stringify({ id: `${id}/${path}`, type: "change", path, change, held, applied, apply })}\n`);
      }
      for (const one of kept) context.stdout.write(`${JSON.stringify({ id: one.kept, type: "kept", path: one.path, kept: one.kept })}\n`);
      return exitCode.done;
    }
    context.stdout.write(context.color ? coloured(context, text) : text);
    const held = files.filter((file) => file.held).map(({ path }) => path);
    const open = files.filter((file) => !file.applied && !file.held).length;
    if (open > 0) context.stderr.write(`${open} change(s) are not in the workspace yet: guild session apply ${id}\n`);
    if (held.length > 0) {
      context.stderr.write(
        `set aside, because programs of yours might run what they say: ${held.join(", ")} — guild session apply ${id} --paths …\n`,
      );
    }
    for (const one of kept) context.stderr.write(`the session's ${one.path}, which lost against yours, is ${one.kept} (for a month)\n`);
    return exitCode.done;
  });
}

/** `guild session apply`: exit code 1 when files stayed as they are because the person had changed them too. */
export function apply(context: Context, id: string, options: Options): Promise<number> {
  return withConnection(context, async ({ results }) => {
    const { applied, conflicts } = await results.applySession({ sessionId: id, paths: options.paths ?? [] });
    if (options.json === true) {
      for (const path of applied) context.stdout.write(`${JSON.stringify({ id: `${id}/${path}`, type: "applied", path })}\n`);
      for (const { path, kept } of conflicts) {
        context.stdout.write(`${JSON.stringify({ id: `${id}/${path}`, type: "conflict", path, kept })}\n`);
      }
    } else {
      for (const path of applied) context.stdout.write(`applied ${path}\n`);
      for (const { path, kept } of conflicts) {
        const there = kept === "" ? "the session had deleted it" : `the session's version is ${kept}`;
        context.stdout.write(`kept yours: ${path} has changed meanwhile; ${there}\n`);
      }
      if (applied.length + conflicts.length === 0) context.stdout.write("nothing to apply\n");
    }
    return conflicts.length === 0 ? exitCode.done : exitCode.failed;
  });
}

/** `guild session discard`: gives up what has not been applied. */
export function discard(context: Context, id: string, options: Pick<Options, "json">): Promise<number> {
  return withConnection(context, async ({ results }) => {
    const { discarded } = await results.discardSession({ sessionId: id });
    for (const path of discarded) {
      context.stdout.write(
        options.json === true ? `${JSON.stringify({ id: `${id}/${path}`, type: "discarded", path })}\n` : `discarded ${path}\n`,
      );
    }
    if (discarded.length === 0 && options.json !== true) context.stdout.write("nothing to discard\n");
    return exitCode.done;
  });
}

function coloured(context: Context, text: string): string {
  const style = createStyle(context.color);
  return text
    .split("\n")
    .map((line) => (/^(?:diff|---|\+\+\+) /.test(line) ? style.bold(line) : line))
    .join("\n");
}
