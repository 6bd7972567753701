import { GuildError, type Secrets } from "@guildhall/core";

/**
 * What a configuration means by a credential: the text itself, or, in the operator's file alone, the secret that `${NAME}` names, as it is stored
 * now. Throws `failed_precondition` for one that is not there.
 */
export async function credential(value: string, origin: "operator" | "project", secrets: () => Promise<Secrets>): Promise<string> {
  const [, name] = (origin === "operator" && /^\$\{(\w+)\}$/.exec(value)) || [];
  if (name === undefined) return value;
  const found = await (await secrets()).get(name);
  if (found === undefined) {
    throw new GuildError("failed_precondition", `there is no secret ${name} to sign in with`, {
      subject: name,
      remedy: `guild secret set ${name}`,
    });
  }
  return found;
}
