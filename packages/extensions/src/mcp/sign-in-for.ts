import type { Secrets } from "@guildhall/core";
import type { FetchLike, OAuthClientProvider } from "@modelcontextprotocol/client";

import { crossAppSignIn } from "./cross-app-sign-in.ts";
import { machineSignIn } from "./machine-sign-in.ts";
import type { NamedMcpServer } from "./server-config.ts";
import { signInSecret, StoredSignIn, type StoredSignInOptions } from "./stored-sign-in.ts";

/**
 * The sign-in of a server that is reached by its address, where there is one: a person's that is stored, our own as a program, or one that an
 * enterprise's identity provider vouches for, which is asked through `reach`.
 */
export async function signInFor(
  server: NamedMcpServer,
  secrets: () => Promise<Secrets>,
  reach: FetchLike,
): Promise<OAuthClientProvider | undefined> {
  const { config } = server;
  if (!("url" in config)) return undefined;
  if (config.oauth?.grant === "client_credentials") return await machineSignIn(config.oauth, server.origin, secrets);
  if (config.oauth?.grant === "cross_app_access") return await crossAppSignIn(config.oauth, server.origin, secrets, reach);
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
    issuer?: string | undefined;
  } = {},
): Pick<StoredSignInOptions, "clientId" | "clientSecret" | "clientMetadataUrl" | "scope" | "issuer"> {
  const { client_id: clientId, client_secret: clientSecret, client_metadata_url: clientMetadataUrl, scope, issuer } = oauth;
  return {
    ...(clientId === undefined ? {} : { clientId }),
    ...(clientSecret === undefined ? {} : { clientSecret }),
    ...(clientMetadataUrl === undefined ? {} : { clientMetadataUrl }),
    ...(scope === undefined ? {} : { scope }),
    ...(issuer === undefined ? {} : { issuer }),
  };
}
