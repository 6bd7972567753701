import { join } from "node:path";

import type { Tool } from "@guildhall/core";
import type * as extensions from "@guildhall/extensions";
import type { Hooks, Skill } from "@guildhall/extensions";

import type { TrustStore } from "../trust/trust-store.ts";
import { trustedFiles } from "../trust/trusted-files.ts";
import { MadeFrom, namesInside, readInside } from "./project-files.ts";

/** Where a project keeps skills; the operator's are in `skills` of the settings directory. */
const SKILL_DIRECTORIES = [".guildhall/skills", ".claude/skills", ".agents/skills"];
const HOOKS = "hooks.json";
const OPENAPI = "openapi";
/** Most skills that a session is told of, and bytes of one. */
const MOST_SKILLS = 60;
const MOST_BYTES = 64 * 1024;

/** What of the package is needed; it is loaded with the first session. */
type Extensions = Pick<
  typeof extensions,
  "framedGuidance" | "GUIDANCE_FILES" | "GUIDANCE_PREFACE" | "MOST_GUIDANCE" | "openApiTools" | "readHooks" | "readSkill"
>;

/** What projects and the operator write down for agents: skills, guidance, OpenAPI documents, hooks. Read again when it has changed. */
export class ProjectDesk {
  readonly #options: { config: string; trustFile: string; trust: TrustStore };
  readonly #extensions: Extensions;
  readonly #skills = new MadeFrom<readonly Skill[]>();
  readonly #documents = new MadeFrom<readonly Tool[]>();
  readonly #hooks = new MadeFrom<readonly Hooks[]>();

  constructor(options: { config: string; trustFile: string; trust: TrustStore }, loaded: Extensions) {
    this.#options = options;
    this.#extensions = loaded;
  }

  /** Text, not code: it counts as what it is, the word of a repository. Of one name the first counts, the project's before the operator's. */
  skills(workspace: string): readonly Skill[] {
    const { config } = this.#options;
    const places = [...SKILL_DIRECTORIES.map((path) => ({ root: workspace, path })), { root: config, path: "skills" }];
    const files = places.flatMap(({ root, path }) =>
      namesInside(root, path).map((name) => ({ root, path: `${path}/${name}/SKILL.md`, folder: `${path}/${name}` })),
    );
    return this.#skills.of(
      workspace,
      files.map(({ root, path }) => join(root, path)),
      () => {
        const found = new Map<string, Skill>();
        for (const { root, path, folder } of files) {
          const text = readInside(root, path, MOST_BYTES);
          const skill = text === undefined ? undefined : this.#extensions.readSkill(text, root === workspace ? folder : undefined);
          if (skill !== undefined && !found.has(skill.name) && found.size < MOST_SKILLS) found.set(skill.name, skill);
        }
        return [...found.values()];
      },
    );
  }

  /** For the end of a new session's prompt. */
  introduction(workspace: string): string {
    const { framedGuidance, GUIDANCE_FILES, GUIDANCE_PREFACE, MOST_GUIDANCE } = this.#extensions;
    const parts: string[] = [];
    for (const file of GUIDANCE_FILES) {
      const text = readInside(workspace, file, MOST_GUIDANCE * 4);
      if (text === undefined || text.trim() === "") continue;
      parts.push(`# The project's guidance\n${GUIDANCE_PREFACE}\n${framedGuidance(file, text)}`);
      break;
    }
    const skills = this.skills(workspace);
    if (skills.length > 0) {
      const lines = skills.map(({ name, description }) => `- ${name}: ${description}`);
      parts.push(
        `# Skills\nInstructions for certain kinds of work; read one with the skill tool when it fits, before you begin.\n${lines.join("\n")}`,
      );
    }
    return parts.join("\n\n");
  }

  /** Throws `invalid_argument` for one that cannot be read. */
  documents(workspace: string): readonly Tool[] {
    const { config, trust, trustFile } = this.#options;
    const under = `.guildhall/${OPENAPI}`;
    const own = namesInside(config, OPENAPI).filter(isDocument);
    const theirs = namesInside(workspace, under).filter(isDocument);
    if (own.length === 0 && theirs.length === 0) return none;
    const paths = [...own.map((name) => join(config, OPENAPI, name)), ...theirs.map((name) => join(workspace, under, name)), trustFile];
    return this.#documents.of(workspace, paths, () => {
      const texts = new Map(own.map((name) => [name, readInside(config, `${OPENAPI}/${name}`, 8 * 1024 * 1024) ?? ""]));
      for (const [path, text] of trustedFiles(trust, workspace, under)) {
        const name = path.slice(under.length + 1);
        if (isDocument(name) && !texts.has(name)) texts.set(name, text);
      }
      return [...texts].flatMap(([name, text]) => this.#extensions.openApiTools(name.replace(/\.[a-z]+$/, ""), text));
    });
  }

  /** The operator's first. Throws `invalid_argument` for a file that cannot be read. */
  hooks(workspace: string): readonly Hooks[] {
    const { config, trust, trustFile } = this.#options;
    const path = `.guildhall/${HOOKS}`;
    return this.#hooks.of(workspace, [join(config, HOOKS), join(workspace, path), trustFile], () => {
      const own = readInside(config, HOOKS, MOST_BYTES);
      const theirs = trustedFiles(trust, workspace, path).get(path);
      const { readHooks } = this.#extensions;
      return [
        ...(own === undefined ? [] : [readHooks(own, join(config, HOOKS))]),
        ...(theirs === undefined ? [] : [readHooks(theirs, join(workspace, path))]),
      ];
    });
  }
}

const none: readonly Tool[] = [];

function isDocument(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,30}\.(json|ya?ml)$/.test(name);
}
