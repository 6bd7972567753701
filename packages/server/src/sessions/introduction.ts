import type { Environments } from "../environment/environments.ts";
import type { Access } from "../network/access.ts";
import type { SessionParts } from "../parts/index.ts";
import type { ToolSets } from "../worker/tool-sets.ts";

/** What a person asks of a session, as far as its first prompt depends on it. */
export interface IntroductionRequest {
  workspace: string;
  sandbox: string;
  /** Nobody is there to answer. */
  unattended: boolean;
  /** The approval policy that is asked for; empty: none. */
  approvals: string;
  /** Results are to be looked at before they are applied. */
  review: boolean;
}

/** First tier of the prompt and the tools of a new session, under the policy. */
export interface Introduction {
  review: boolean;
  systemPrompt: string;
  environmentHash: string;
  tools: string[];
  approvalPolicy: string;
  notices: string[];
}

export type Introduce = (request: IntroductionRequest) => Promise<Introduction>;

/** Looks at the place anew: what a person changed a moment ago holds for the session that begins now. */
export function createIntroduction(deps: {
  access: Access;
  environments: Environments;
  parts: SessionParts;
  tools: ToolSets;
  systemPrompt(facts: { workspace: string; sandbox: string; unattended: boolean; network: boolean }): string;
}): Introduce {
  const { access, environments, parts, tools } = deps;
  return async ({ workspace, sandbox, unattended, approvals, review: asked }) => {
    const { approvalPolicy, network, notices, review } = access.terms(workspace, sandbox, approvals);
    const place = { workspace, provider: sandbox };
    environments.changed(place);
    const more = await parts.introduction(place);
    const prompt = deps.systemPrompt({ workspace, sandbox, unattended, network });
    const { environment } = await environments.resolve(place);
    return {
      review: review || asked,
      environmentHash: environment.hash,
      systemPrompt: more === "" ? prompt : `${prompt}\n\n${more}`,
      tools: tools
        .underPolicy(workspace, sandbox)
        .list()
        .map((tool) => tool.name),
      approvalPolicy,
      notices,
    };
  };
}
