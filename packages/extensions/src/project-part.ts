import {
  GuildError,
  type PartAction,
  type PartNotice,
  type PartSource,
  type Sandbox,
  type SessionPart,
  type SessionState,
  type Tool,
} from "@guildhall/core";

import { NestedGuidance } from "./guidance/guidance.ts";
import { createSkillTool } from "./skills/skill-tool.ts";
import { type Skill, triggered } from "./skills/skill.ts";

export interface ProjectPartOptions {
  sandbox: Promise<Sandbox>;
  /** The skills that there are now; the same array until they have changed. */
  skills(): readonly Skill[];
  /** Tools of OpenAPI documents, likewise. Throws a GuildError for a document that cannot be read. */
  documents(): readonly Tool[];
}

/** Names of tools in one notice. */
const NAMED = 12;

/** What a project and its operator write down for agents: skills, guidance of nested directories, OpenAPI documents. */
export class ProjectPart implements SessionPart {
  readonly name = "project";
  readonly #options: ProjectPartOptions;
  readonly #nested: NestedGuidance;
  readonly #skillTool: Tool;
  #skills: readonly Skill[];
  #documents: readonly Tool[] = [];
  #tools: readonly Tool[] = [];
  #notices: PartNotice[] = [];
  #problem = "";
  #lastMessage = -1;

  constructor(options: ProjectPartOptions) {
    this.#options = options;
    this.#nested = new NestedGuidance(options.sandbox);
    this.#skillTool = createSkillTool(() => this.#skills);
    this.#skills = options.skills();
    this.#follow(true);
  }

  tools(): readonly Tool[] {
    return this.#tools;
  }

  sources(): PartSource[] {
    const names = new Set(this.#documents.map((tool) => tool.source));
    const failed: PartSource[] = this.#problem === "" ? [] : [{ name: "openapi", state: "failed", detail: this.#problem }];
    const on = [...(this.#skills.length === 0 ? [] : ["skills"]), ...names];
    return [...on.map((name): PartSource => ({ name, state: "on", detail: "" })), ...failed];
  }

  async beforeStep(state: SessionState): Promise<PartNotice[]> {
    this.#follow(false);
    const { lastMessageSeq: seq } = state;
    if (seq !== this.#lastMessage) {
      this.#lastMessage = seq;
      const found = triggered(this.#skills, lastMessage(state));
      if (found.length > 0) {
        const names = found.slice(0, 5).map(({ name }) => name);
        this.#notices.push({ kind: "skills", text: `For this there is a skill: ${names.join(", ")}. Read it with the skill tool first.` });
      }
    }
    return this.#notices.splice(0);
  }

  afterAction(action: PartAction): Promise<string | undefined> {
    return this.#nested.after(action);
  }

  #follow(first: boolean): void {
    const skills = this.#options.skills();
    const documents = this.#read();
    if (!first && skills === this.#skills && documents === this.#documents) return;
    if (!first && skills !== this.#skills) {
      const lines = skills.slice(0, 40).map(({ name, description }) => `- ${name}: ${description}`);
      this.#say(lines.length === 0 ? "There are no skills any more." : `Skills have changed. There are now:\n${lines.join("\n")}`);
    }
    this.#announce("Tools that have joined", difference(documents, this.#documents));
    this.#announce("Tools that are gone", difference(this.#documents, documents));
    this.#skills = skills;
    this.#documents = documents;
    this.#tools = [...(skills.length === 0 ? [] : [this.#skillTool]), ...documents];
  }

  #read(): readonly Tool[] {
    try {
      const documents = this.#options.documents();
      this.#problem = "";
      return documents;
    } catch (error) {
      const { line } = GuildError.from(error);
      if (line !== this.#problem) this.#say(`An OpenAPI document cannot be used: ${line}`);
      this.#problem = line;
      return this.#documents;
    }
  }

  #announce(what: string, tools: readonly Tool[]): void {
    if (tools.length === 0) return;
    const more = tools.length > NAMED ? ` and ${tools.length - NAMED} more` : "";
    this.#say(
      `${what}: ${tools
        .slice(0, NAMED)
        .map((tool) => tool.name)
        .join(", ")}${more}; find them with tool_search.`,
    );
  }

  #say(text: string): void {
    this.#notices.push({ kind: "tools", text });
  }
}

function difference(these: readonly Tool[], those: readonly Tool[]): Tool[] {
  const names = new Set(those.map((tool) => tool.name));
  return these.filter((tool) => !names.has(tool.name));
}

/** What the person said last. */
function lastMessage(state: SessionState): string {
  for (let index = state.items.length - 1, looked = 0; index >= 0 && looked < 20; index -= 1, looked += 1) {
    const item = state.items.at(index);
    if (item?.kind === "message") return item.text;
  }
  return "";
}
