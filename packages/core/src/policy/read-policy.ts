import { parse, TomlError } from "smol-toml";

import { GuildError } from "../errors.ts";
import { type PolicyFile, policySchema } from "./policy-schema.ts";

/** Whose file it is: a project's may narrow what the operator allows, and grants nothing. */
export type PolicyOwner = "operator" | "project";

/**
 * The policy that a file's text says. Throws `invalid_argument` with the file, the line or key, and what to do: a policy that is not
 * understood is never passed over.
 */
export function readPolicy(text: string, file: string, owner: PolicyOwner): PolicyFile {
  const parsed = policySchema.safeParse(parseToml(text, file));
  if (!parsed.success) {
    // A key that is spelt wrong explains what is missing, not the other way round.
    const { issues } = parsed.error;
    throw explain(issues.find((issue) => issue.code === "unrecognized_keys") ?? issues[0], file);
  }
  if (owner === "project" && parsed.data.secrets.grants.length > 0) {
    throw new GuildError("invalid_argument", "secrets.grants: a project's policy cannot grant secrets", {
      subject: file,
      remedy: "take it out, and grant it yourself with guild secret grant",
    });
  }
  const allowing = parsed.data.approvals.rules.findIndex((rule) => rule.decide === "allow");
  if (owner === "project" && allowing !== -1) {
    throw new GuildError("invalid_argument", `approvals.rules[${allowing}]: a project's policy cannot allow actions`, {
      subject: file,
      remedy: "take it out, and allow it in your own policy.toml or with guild approval grant --always",
    });
  }
  return parsed.data;
}

function parseToml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    const line = error instanceof TomlError ? `line ${error.line}: ` : "";
    const [reason = ""] = error instanceof Error ? error.message.split("\n") : [];
    throw new GuildError("invalid_argument", `${line}${reason.replace(/^Invalid TOML document: /, "no valid TOML: ")}`, {
      subject: file,
      remedy: "correct that line",
      cause: error,
    });
  }
}

interface Issue {
  code?: string;
  path: PropertyKey[];
  message: string;
  keys?: string[];
}

function explain(issue: Issue | undefined, file: string): GuildError {
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys?.slice(0, 1) : undefined;
  const key = [...(issue?.path ?? []), ...(unknown ?? [])].reduce<string>(
    (path, part) => (typeof part === "number" ? `${path}[${part}]` : path === "" ? String(part) : `${path}.${String(part)}`),
    "",
  );
  return new GuildError(
    "invalid_argument",
    unknown === undefined ? `${key}: ${issue?.message ?? "wrong"}` : `${key}: there is no such key`,
    {
      subject: file,
      remedy: "correct it; docs/network.md and docs/secrets.md list every key",
    },
  );
}
