import type { EnvironmentSource } from "@guildhall/core";

/** The programs of the machine, as the sandbox shows them. Always there, and claimed by no project. */
export const hostSource: EnvironmentSource = {
  kind: "host",
  async claims() {
    return undefined;
  },
  async resolve() {
    return { kind: "host", source: "this machine", variables: {}, path: [], pure: false, mounts: [], shellHook: "", differences: [] };
  },
};
