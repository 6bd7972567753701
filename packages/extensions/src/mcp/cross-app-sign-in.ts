import { GuildError, type Secrets } from "@guildhall/core";
import type { FetchLike, OAuthClientProvider } from "@modelcontextprotocol/client";

import { credential } from "./credential.ts";

/** How an enterprise's identity provider vouches for a person at a server. */
export interface CrossAppCredentials {
  client_id?: string | undefined;
  client_secret?: string | undefined;
  scope?: string | undefined;
  issuer?: string | undefined;
  identity_provider?:
    | {
        issuer: string;
        /** Where its metadata is not to be asked for it. */
        token_endpoint?: string | undefined;
        client_id: string;
        client_secret?: string | undefined;
        id_token: string;
      }
    | undefined;
}

/**
 * Signs in with what the enterprise's identity provider gives for the person's ID token (SEP-990: RFC 8693 token exchange for an identity
 * assertion, RFC 7523 bearer grant with it). The ID token is shown to the named identity provider alone, the credentials of the client to the
 * named issuer alone; tokens are kept in memory. A stored secret is read again for every exchange, since ID tokens are short-lived.
 */
export async function crossAppSignIn(
  credentials: CrossAppCredentials,
  origin: "operator" | "project",
  secrets: () => Promise<Secrets>,
  reach: FetchLike,
): Promise<OAuthClientProvider> {
  const { CrossAppAccessProvider, discoverAndRequestJwtAuthGrant, requestJwtAuthorizationGrant } =
    await import("@modelcontextprotocol/client");
  const { client_id: clientId = "", client_secret: secret = "", issuer: expectedIssuer = "", identity_provider: idp } = credentials;
  if (idp === undefined) throw new GuildError("invalid_argument", "cross_app_access needs an identity_provider", { subject: "oauth" });
  const read = (value: string): Promise<string> => credential(value, origin, secrets);
  return new CrossAppAccessProvider({
    clientId,
    clientSecret: await read(secret),
    clientName: "Guildhall",
    expectedIssuer,
    fetchFn: reach,
    async assertion({ authorizationServerUrl, resourceUrl, scope, fetchFn }) {
      const wanted = credentials.scope ?? scope;
      try {
        const asked = {
          audience: authorizationServerUrl,
          resource: resourceUrl,
          idToken: await read(idp.id_token),
          clientId: idp.client_id,
          ...(idp.client_secret === undefined ? {} : { clientSecret: await read(idp.client_secret) }),
          ...(wanted === undefined ? {} : { scope: wanted }),
          fetchFn,
        };
        const { jwtAuthGrant } =
          idp.token_endpoint === undefined
            ? await discoverAndRequestJwtAuthGrant({ idpUrl: idp.issuer, ...asked })
            : await requestJwtAuthorizationGrant({ tokenEndpoint: idp.token_endpoint, ...asked });
        return jwtAuthGrant;
      } catch (error) {
        if (GuildError.is(error)) throw error;
        throw new GuildError("unauthenticated", `it vouches for nobody: ${error instanceof Error ? error.message : String(error)}`, {
          subject: idp.issuer,
          remedy: "store a new ID token: guild secret set",
          cause: error,
        });
      }
    },
  });
}
