import { GuildError, type SandboxFiles, type ToolResult, type ToolSession } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "../define-tool.ts";
import { EditHistory } from "../edit/edit-history.ts";
import { statIfThere, WHOLE_FILE_LIMIT } from "../edit/open-file.ts";
import { decodeText, encodeText, type TextDocument } from "../edit/text-document.ts";
import { isConfiguration, lexicalPath, workspacePath } from "../workspace-path.ts";
import { type Applied, applyHunks } from "./apply-hunks.ts";
import { type FilePatch, pathsOf } from "./file-patch.ts";
import { parsePatch } from "./parse-patch.ts";
import { type Staged, writeStaged } from "./write-staged.ts";

const schema = z.strictObject({
  patch: z.string().min(1).describe("A unified diff, or *** Begin Patch … *** End Patch"),
});

/** Changes, creates, moves and deletes several files in one go: all of it or nothing. See docs/tools.md. */
export function createApplyPatchTool(workspace: string) {
  return defineTool({
    name: "apply_patch",
    description: "Apply a patch to one or more files, all or nothing; edit with undo takes it back file by file.",
    schema,
    risk: ({ patch }) => (touched(workspace, patch).some((path) => isConfiguration(workspace, path)) ? Risk.HIGH : Risk.MEDIUM),
    resources: ({ patch }) => touched(workspace, patch).map((path) => ({ name: `file:${path}`, access: "write" as const })),
    async execute({ patch }, { session, signal }) {
      try {
        return await session.get("edit", () => new EditHistory()).exclusively(() => applyPatch(patch, session, signal));
      } catch (error) {
        if (GuildError.is(error) && !["internal", "unavailable", "cancelled"].includes(error.code)) {
          return { status: "error", output: `${error.line.replace(/\.?$/, ".")} Nothing was changed.` };
        }
        throw error;
      }
    },
  });
}

/** Absolute paths; none of a patch that cannot be read, of which nothing is applied. */
function touched(workspace: string, patch: string): string[] {
  try {
    return pathsOf(parsePatch(patch)).map((path) => lexicalPath(workspace, path));
  } catch (error) {
    if (GuildError.is(error)) return [];
    throw error;
  }
}

async function applyPatch(patch: string, session: ToolSession, signal: AbortSignal): Promise<ToolResult> {
  const stage = new Stage(session);
  const problems: string[] = [];
  const lines: string[] = [];
  const files: unknown[] = [];
  for (const one of parsePatch(patch)) {
    signal.throwIfAborted();
    try {
      const { line, data } = await stage.add(one);
      lines.push(line);
      files.push(data);
    } catch (error) {
      if (!GuildError.is(error) || error.code === "internal" || error.code === "unavailable") throw error;
      problems.push(error.line);
    }
  }
  if (problems.length > 0) throw new GuildError("invalid_argument", problems.join("\n"));
  signal.throwIfAborted();
  await stage.write();
  return { status: "ok", output: [...lines, ...stage.notes.map((note) => `Note: ${note}.`)].join("\n"), data: { files } };
}

const NOTHING: Applied = { text: "", added: 0, removed: 0, notes: [] };

/** What a patch comes to, worked out before anything is written. */
class Stage {
  readonly notes: string[] = [];
  readonly #session: ToolSession;
  readonly #files: SandboxFiles;
  readonly #staged = new Map<string, Staged>();

  constructor(session: ToolSession) {
    this.#session = session;
    this.#files = session.sandbox.files;
  }

  async add(patch: FilePatch): Promise<{ line: string; data: unknown }> {
    if (patch.path.endsWith("/")) throw new GuildError("invalid_argument", `${patch.path} names a directory, not a file`);
    const file = await this.#open(patch.path);
    const { shown } = file.path;
    if (patch.change === "create") {
      if (file.after !== undefined) throw new GuildError("already_exists", `${shown} is there already`);
      file.after = { bytes: encodeText({ text: patch.text, encoding: "utf-8", bom: false }), mode: patch.mode };
      const added = patch.text === "" ? 0 : patch.text.replace(/\n$/, "").split("\n").length;
      return { line: `Created ${shown} (+${added})`, data: { path: shown, change: "create", added, removed: 0 } };
    }
    if (file.after === undefined) throw new GuildError("not_found", `there is no ${shown}`);
    if (patch.change === "delete" || patch.moveTo !== undefined) await this.#refuseLink(patch.path, shown);
    // Without hunks the bytes are left alone, text or not.
    const present = patch.hunks.length === 0 ? undefined : this.#document(file);
    const applied = present === undefined ? NOTHING : applyHunks(present.text, patch.hunks, shown);
    this.notes.push(...applied.notes);
    if (patch.change === "delete") {
      if (patch.hunks.length > 0 && applied.text !== "") {
        throw new GuildError("failed_precondition", `${shown} holds more than what the patch deletes`);
      }
      file.after = undefined;
      return { line: `Deleted ${shown}`, data: { path: shown, change: "delete", added: 0, removed: applied.removed } };
    }
    const bytes = present === undefined ? file.after.bytes : encodeText({ ...present, text: applied.text });
    const after = { bytes, mode: patch.mode ?? file.after.mode };
    const { added, removed } = applied;
    if (patch.moveTo === undefined) {
      file.after = after;
      return { line: `Changed ${shown} (+${added} −${removed})`, data: { path: shown, change: "update", added, removed } };
    }
    const target = await this.#open(patch.moveTo);
    if (target.after !== undefined) throw new GuildError("already_exists", `${target.path.shown} is there already`);
    target.after = { bytes, mode: after.mode ?? file.before?.stat.mode };
    file.after = undefined;
    const to = target.path.shown;
    return { line: `Moved ${shown} to ${to} (+${added} −${removed})`, data: { path: to, from: shown, change: "move", added, removed } };
  }

  /** Writes everything, or leaves everything as it was. */
  async write(): Promise<void> {
    const history = this.#session.get("edit", () => new EditHistory());
    await writeStaged(this.#files, history, [...this.#staged.values()], "apply_patch");
  }

  async #open(path: string): Promise<Staged> {
    const found = await workspacePath(this.#session.sandbox, path);
    const known = this.#staged.get(found.real);
    if (known !== undefined) return known;
    const stat = await statIfThere(this.#files, found.real);
    let before: Staged["before"];
    if (stat !== undefined) {
      for (const other of this.#staged.values()) {
        if (stat.links < 2 || other.before?.stat.inode !== stat.inode) continue;
        throw new GuildError("invalid_argument", `${found.shown} and ${other.path.shown} are one file`, {
          remedy: "patch it under one name",
        });
      }
      if (stat.kind !== "file") throw new GuildError("failed_precondition", `${found.shown} is no regular file`);
      if (stat.size > WHOLE_FILE_LIMIT)
        throw new GuildError("failed_precondition", `${found.shown} is too large to patch`, { remedy: "use bash" });
      before = { bytes: await this.#files.read(found.real), stat };
    }
    const staged: Staged = { path: found, before, after: before && { bytes: before.bytes, mode: undefined } };
    this.#staged.set(found.real, staged);
    return staged;
  }

  /** The text of a file as the patch has left it so far. */
  #document(file: Staged): TextDocument {
    const document = decodeText(file.after?.bytes ?? new Uint8Array());
    if (document === undefined) throw new GuildError("failed_precondition", `${file.path.shown} is a binary file`, { remedy: "use bash" });
    return document;
  }

  async #refuseLink(path: string, shown: string): Promise<void> {
    const lexical = lexicalPath(this.#session.sandbox.workspace, path);
    const stat = await this.#files.stat(lexical).catch((error: unknown) => {
      if (GuildError.is(error, "not_found")) return undefined;
      throw error;
    });
    if (stat?.kind === "symlink")
      throw new GuildError("failed_precondition", `${shown} is a symbolic link`, { remedy: "use bash for links" });
  }
}
