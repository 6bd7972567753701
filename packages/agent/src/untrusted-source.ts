import type { ToolResult } from "@guildhall/core";

import type { PreparedCall } from "./tools/index.ts";

/** Whether a person vouches for what a workspace holds: `known` brings nothing that would need trust, `stranger` brings what nobody has trusted. */
export type RepositoryTrust = "trusted" | "known" | "stranger";

/** Whether a call may have read something of the workspace. */
export function readsPrivate({ resources }: PreparedCall): boolean {
  return resources.some(({ name }) => /^(\*$|workspace$|(file|shell|repl):)/.test(name));
}

/**
 * From whom the words of a result are, where nobody here vouches for them; empty: somebody does. What foreign servers tell is theirs; a
 * project's own tools and skills were trusted by a person. The text of a stranger's repository is the stranger's. In one of which nothing is
 * known it counts so once a call has named a file that looks private: what lies beside it could ask for that to be sent.
 */
export function untrustedSource(call: PreparedCall, { untrusted }: ToolResult, repository: RepositoryTrust): string {
  const { tool } = call;
  const foreign = untrusted ?? (/^(mcp|openapi)(:|$)/.test(tool.source) ? tool.source : undefined);
  return (foreign ?? repositoryText(call, repository)).slice(0, 200);
}

function repositoryText(call: PreparedCall, repository: RepositoryTrust): string {
  if (repository === "trusted" || !readsPrivate(call)) return "";
  return repository === "stranger" || namesPrivateFile(call.input) ? "a repository that is not trusted" : "";
}

/** Names under which people keep what is nobody else's. By a call's words alone, like what sends: no wall. */
const PRIVATE_FILE =
  /(?<![\w-])(?:\.env(?!\.(?:example|sample|template)|\w)|\.(?:netrc|npmrc|pypirc|pgpass|git-credentials)\b|id_(?:rsa|dsa|ecdsa|ed25519)(?!\.pub)\b|(?:secrets?|credentials?)\.(?:txt|json|ya?ml|toml|ini|csv|db)\b|\.(?:ssh|aws|gnupg|kube)\/)|\.(?:pem|p12|pfx|kdbx|keystore)\b/i;

function namesPrivateFile(input: unknown): boolean {
  const words = JSON.stringify(input);
  return words.length <= LONGEST && PRIVATE_FILE.test(words);
}

const LONGEST = 64_000;
