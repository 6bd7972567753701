import type { RepositoryTrust } from "@guildhall/agent";
import { GuildError } from "@guildhall/core";

import type { Trust } from "./trust-store.ts";

/** Whether a person vouches for the text of a workspace: by what its configuration is, see `guild trust show`. */
export function repositoryTrust(trust: { show(directory: string): Trust }, workspace: string): RepositoryTrust {
  const state = stateOf(trust, workspace);
  return state === "trusted" ? "trusted" : state === "nothing" ? "known" : "stranger";
}

function stateOf(trust: { show(directory: string): Trust }, workspace: string): Trust["state"] {
  try {
    return trust.show(workspace).state;
  } catch (error) {
    // More than can be looked through: nobody can have trusted that.
    if (GuildError.is(error) && error.code === "failed_precondition") return "untrusted";
    throw error;
  }
}
