import { createHash } from "node:crypto";

import { GuildError, type Secrets } from "@guildhall/core";
import type {
  OAuthClientInformationContext,
  OAuthClientMetadata,
  OAuthClientProvider,
  OAuthDiscoveryState,
  StoredOAuthClientInformation,
  StoredOAuthTokens,
} from "@modelcontextprotocol/client";

/** What is kept of a sign-in, as one secret. */
interface Kept {
  client?: StoredOAuthClientInformation;
  tokens?: StoredOAuthTokens;
  /** Scope that a request was refused for. */
  wanted?: string;
}

export interface StoredSignInOptions {
  /** Address of the server; tokens are kept for exactly it. */
  url: string;
  secrets(): Promise<Secrets>;
  clientId?: string;
  clientSecret?: string;
  /** Address of a document that describes us as a client, for servers that take one. */
  clientMetadataUrl?: string;
  scope?: string;
  /**
   * The one issuer that may take part. Of a server that is its own authorization server (the layout of 2025-03-26, without metadata of the
   * resource) it may be another name than its address; of every other the name has to be the address that it was found at (RFC 8414, 3.3).
   */
  issuer?: string;
  /** Where a person can be sent now; without it the server's question ends in `unauthenticated`. */
  person?: { redirectUrl: string; state: string; open(url: URL): void };
}

/** Name of the secret that holds the tokens of the server at this address. */
export function signInSecret(url: string): string {
  return `mcp-oauth-${createHash("sha256").update(url).digest("hex").slice(0, 24)}`;
}

/** Tokens of one MCP server in the secrets store: read for every request, renewed when they are over, fetched with a person's help. */
export class StoredSignIn implements OAuthClientProvider {
  readonly #options: StoredSignInOptions;
  #verifier = "";
  #discovered: OAuthDiscoveryState | undefined;

  constructor(options: StoredSignInOptions) {
    this.#options = options;
  }

  get redirectUrl(): string | undefined {
    // Named even where nobody can be sent: without one the flow would be another, for machines.
    return this.#options.person?.redirectUrl ?? "http://127.0.0.1/callback";
  }

  get clientMetadata(): OAuthClientMetadata {
    const { scope } = this.#options;
    return {
      client_name: "Guildhall",
      redirect_uris: [this.redirectUrl ?? ""],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
      ...(scope === undefined ? {} : { scope }),
    };
  }

  get clientMetadataUrl(): string {
    return this.#options.clientMetadataUrl ?? "";
  }

  /** What was found when the person was sent on his way: he comes back to the same. */
  discoveryState(): OAuthDiscoveryState | undefined {
    return this.#options.person === undefined ? undefined : this.#discovered;
  }

  /** Throws `permission_denied` before anything is shown to an authorization server that the configuration does not name. */
  saveDiscoveryState(found: OAuthDiscoveryState): void {
    checkIssuer(found, this.#options);
    this.#discovered = found;
  }

  state(): string {
    return this.#options.person?.state ?? "";
  }

  async clientInformation(context?: OAuthClientInformationContext): Promise<StoredOAuthClientInformation | undefined> {
    const { clientId, clientSecret } = this.#options;
    if (clientId !== undefined) return { client_id: clientId, ...(clientSecret === undefined ? {} : { client_secret: clientSecret }) };
    const { client } = await this.#read();
    // An authorization server that has changed does not know us.
    return context?.issuer !== undefined && client?.issuer !== undefined && client.issuer !== context.issuer ? undefined : client;
  }

  async saveClientInformation(client: StoredOAuthClientInformation): Promise<void> {
    await this.#change({ client });
  }

  async tokens(): Promise<StoredOAuthTokens | undefined> {
    return (await this.#read()).tokens;
  }

  async saveTokens(tokens: StoredOAuthTokens): Promise<void> {
    await this.#change({ tokens });
  }

  async redirectToAuthorization(url: URL): Promise<void> {
    const { person } = this.#options;
    if (person === undefined) {
      const wanted = url.searchParams.get("scope");
      if (wanted !== null) await this.#change({ wanted });
      throw new GuildError("unauthenticated", "it asks for a sign-in", { subject: this.#options.url, remedy: "guild mcp login" });
    }
    person.open(url);
  }

  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }

  codeVerifier(): string {
    return this.#verifier;
  }

  async invalidateCredentials(scope: "all" | "client" | "tokens" | "verifier" | "discovery"): Promise<void> {
    const { client, tokens } = await this.#read();
    if (scope === "tokens" && client !== undefined) await this.#write({ client });
    else if (scope === "client" && tokens !== undefined) await this.#write({ tokens });
    else if (scope === "all" || scope === "tokens" || scope === "client") await this.#write({});
  }

  /** Scope that was missing when a request was last refused. */
  async wanted(): Promise<string | undefined> {
    return (await this.#read()).wanted;
  }

  async #read(): Promise<Kept> {
    const text = await (await this.#options.secrets()).get(signInSecret(this.#options.url));
    return text === undefined ? {} : (JSON.parse(text) as Kept);
  }

  async #change(change: Kept): Promise<void> {
    await this.#write({ ...(await this.#read()), ...change });
  }

  async #write(kept: Kept): Promise<void> {
    const secrets = await this.#options.secrets();
    const name = signInSecret(this.#options.url);
    if (Object.keys(kept).length === 0) await secrets.delete(name);
    else await secrets.set(name, JSON.stringify(kept));
  }
}

function checkIssuer(found: OAuthDiscoveryState, { issuer, url }: StoredSignInOptions): void {
  if (issuer === undefined) return;
  const { authorizationServerUrl: place, authorizationServerMetadata: metadata } = found;
  const named = metadata?.issuer ?? place;
  const refuse = (why: string): never => {
    throw new GuildError("permission_denied", `${why}: the configuration names ${issuer}`, {
      subject: url,
      remedy: "correct oauth.issuer if that is the one you mean",
    });
  };
  if (bare(named) !== bare(issuer)) refuse(`it sends people to the authorization server ${named}`);
  if (bare(named) === bare(place)) return;
  const ends = metadata === undefined ? [] : [metadata.authorization_endpoint, metadata.token_endpoint, metadata.registration_endpoint];
  const origin = new URL(url).origin;
  for (const end of [place, ...ends]) {
    if (end !== undefined && new URL(end).origin !== origin) refuse(`${end} calls itself ${named} and is another server`);
  }
}

function bare(address: string): string {
  return address.replace(/\/+$/, "");
}
