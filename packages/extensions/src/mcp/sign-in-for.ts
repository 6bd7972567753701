import type { Secrets } from "@guildhall/core";
import type { OAuthClientProvider } from "@modelcontextprotocol/client";

import { machineSignIn } from "./machine-sign-in.ts";
import type { NamedMcpServer } from "./server-config.ts";
import { signInSecret, StoredSignIn, type StoredSignInOptions } from "./stored-sign-in.ts";

/** The sign-in of a server that is reached by its address, where there is one: a person's that is stored, or our own as a program. */
export async function signInFor(server: NamedMcpServer, secrets: () => Promise<Secrets>): Promise<OAuthClientProvider | undefined> {
  const { config } = server;
  if (!("url" in config)) return undefined;
  if (config.oauth?.grant === "client_credentials") return await machineSignIn(config.oauth, server.origin, secrets);
  if ((await (await secrets()).get(signInSecret(config.url))) === undefined) return undefined;
  return new StoredSignIn({ url: config.url, secrets, ...clientOf(config.oauth) });
}

/** How we are known to the server, as the configuration has it. */
export function clientOf(
  oauth: {
    client_id?: string | undefined;
    client_secret?: string | undefined;
    client_metadata_url?: string | undefined;
    scope?: string | undefined;
  } = {},
): Pick<StoredSignInOptions, "clientId" | "clientSecret" | "clientMetadataUrl" | "scope"> {
  const { client_id: clientId, client_secret: clientSecret, client_metadata_url: clientMetadataUrl, scope } = oauth;
  return {
    ...(clientId === undefined ? {} : { clientId }),
    ...(clientSecret === undefined ? {} : { clientSecret }),
    ...(clientMetadataUrl === undefined ? {} : { clientMetadataUrl }),
    ...(scope === undefined ? {} : { scope }),
  };
}
