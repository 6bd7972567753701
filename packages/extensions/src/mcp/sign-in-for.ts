import type { Secrets } from "@guildhall/core";

import type { NamedMcpServer } from "./server-config.ts";
import { signInSecret, StoredSignIn, type StoredSignInOptions } from "./stored-sign-in.ts";

/** The stored sign-in of a server that is reached by its address, where there is one. */
export async function signInFor(server: NamedMcpServer, secrets: () => Promise<Secrets>): Promise<StoredSignIn | undefined> {
  const { config } = server;
  if (!("url" in config)) return undefined;
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
