import { GuildError, type Secrets } from "@guildhall/core";

/** Secrets that the caller's environment holds, by the variables' own names; read-only. */
export function environmentSecrets(variables: Readonly<Record<string, string | undefined>>): Secrets {
  const readOnly = (name: string): Promise<never> =>
    Promise.reject(
      new GuildError("unsupported", "secrets from the environment cannot be changed here", {
        subject: name,
        remedy: "set it in the environment, or use the store `file`",
      }),
    );
  return {
    get: (name) => Promise.resolve(variables[name]),
    names: () =>
      Promise.resolve(
        Object.keys(variables)
          .filter((name) => variables[name] !== undefined)
          .toSorted(),
      ),
    set: readOnly,
    delete: readOnly,
  };
}
