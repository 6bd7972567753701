import type { Secrets } from "@guildhall/core";
import type { OAuthClientProvider } from "@modelcontextprotocol/client";

import { credential } from "./credential.ts";

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
  const read = (value: string): Promise<string> => credential(value, origin, secrets);
  return key === undefined
    ? new ClientCredentialsProvider({ ...common, clientSecret: await read(credentials.client_secret ?? "") })
    : new PrivateKeyJwtProvider({ ...common, privateKey: await read(key), algorithm });
}
