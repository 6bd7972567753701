import { GuildError, type Secrets } from "@guildhall/core";
import type { OAuthClientProvider } from "@modelcontextprotocol/client";

/** How a program signs in as itself. */
export interface MachineCredentials {
  client_id?: string | undefined;
  client_secret?: string | undefined;
  private_key?: string | undefined;
  algorithm?: string | undefined;
  scope?: string | undefined;
  issuer?: string | undefined;
}

/**
 * Signs a program in without a person (OAuth 2.1, 4.2; SEP-1046), by its secret or by a statement signed with its key. The credentials are shown to
 * the named issuer alone, whatever the server says; tokens are kept in memory. `${NAME}` in the operator's file stands for a stored secret.
 */
export async function machineSignIn(
  credentials: MachineCredentials,
  origin: "operator" | "project",
  secrets: () => Promise<Secrets>,
): Promise<OAuthClientProvider> {
  const { ClientCredentialsProvider, PrivateKeyJwtProvider } = await import("@modelcontextprotocol/client");
  const { client_id: clientId = "", issuer: expectedIssuer = "", private_key: key, algorithm = "", scope } = credentials;
  const common = { clientId, expectedIssuer, clientName: "Guildhall", ...(scope === undefined ? {} : { scope }) };
  const read = async (value: string): Promise<string> => (origin === "operator" ? await stored(value, await secrets()) : value);
  return key === undefined
    ? new ClientCredentialsProvider({ ...common, clientSecret: await read(credentials.client_secret ?? "") })
    : new PrivateKeyJwtProvider({ ...common, privateKey: await read(key), algorithm });
}

async function stored(value: string, secrets: Secrets): Promise<string> {
  const [, name] = /^\$\{(\w+)\}$/.exec(value) ?? [];
  if (name === undefined) return value;
  const found = await secrets.get(name);
  if (found === undefined) {
    throw new GuildError("failed_precondition", `there is no secret ${name} to sign in with`, {
      subject: name,
      remedy: `guild secret set ${name}`,
    });
  }
  return found;
}
