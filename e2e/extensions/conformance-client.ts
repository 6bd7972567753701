/** The client that the MCP conformance suite drives: our connection and our sign-in, with a person who agrees to everything. */
import { GuildError, type Secrets } from "@guildhall/core";
import { clientOf, crossAppSignIn, machineSignIn, McpConnection, signIn, StoredSignIn } from "@guildhall/extensions";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const url = process.argv.at(-1) ?? "";
const { MCP_CONFORMANCE_SCENARIO: scenario = "", MCP_CONFORMANCE_CONTEXT: context = "{}" } = process.env;
const given = JSON.parse(context) as {
  client_id?: string;
  client_secret?: string;
  private_key_pem?: string;
  signing_algorithm?: string;
  idp_client_id?: string;
  idp_id_token?: string;
  idp_issuer?: string;
  idp_token_endpoint?: string;
};

const kept = new Map<string, string>();
const secrets: Secrets = {
  get: async (name) => kept.get(name),
  set: async (name, value) => void kept.set(name, value),
  delete: async (name) => void kept.delete(name),
  names: async () => [...kept.keys()],
};
const oauth = {
  ...given,
  ...(scenario === "auth/basic-cimd" ? { client_metadata_url: "https://conformance-test.local/client-metadata.json" } : {}),
};
// What the operator has written down of a server whose authorization server calls itself otherwise than its address.
const issuer = scenario === "auth/2025-03-26-oauth-metadata-backcompat" ? { issuer: `${new URL(url).origin}/oauth` } : {};
const client = { url, secrets: async () => secrets, ...clientOf({ ...oauth, ...issuer }) };

/** As the operator would have written it down: the issuer is the one that he has his credentials from. */
async function asConfigured() {
  const { authorization_servers: servers } = (await (await fetch(new URL("/.well-known/oauth-protected-resource/mcp", url))).json()) as {
    authorization_servers: string[];
  };
  if (given.idp_issuer !== undefined) {
    const { client_id, client_secret, idp_issuer, idp_client_id = "", idp_id_token = "", idp_token_endpoint: token_endpoint } = given;
    kept.set("ID_TOKEN", idp_id_token);
    const identity_provider = { issuer: idp_issuer, token_endpoint, client_id: idp_client_id, id_token: "${ID_TOKEN}" };
    return await crossAppSignIn(
      { client_id, client_secret, issuer: servers[0], identity_provider },
      "operator",
      async () => secrets,
      fetch,
    );
  }
  const { private_key_pem: privateKey, signing_algorithm: algorithm, ...rest } = given;
  const key = privateKey === undefined ? {} : { private_key: privateKey, algorithm };
  return await machineSignIn({ ...rest, ...key, issuer: servers[0] }, "operator", async () => secrets);
}
const authProvider = /^auth\/(client-credentials|cross-app)/.test(scenario) ? await asConfigured() : new StoredSignIn(client);

const connection = new McpConnection({
  name: "conformance",
  timeoutMs: 150_000,
  version: "0",
  link: {
    pipe: false,
    open: async () => ({
      transport: new StreamableHTTPClientTransport(new URL(url), { authProvider, skipIssuerMetadataValidation: "issuer" in issuer }),
    }),
  },
  elicit: async () => ({ action: "accept", content: {} }),
});

/** Does it, and once more after a sign-in where one is asked for. */
async function signedIn<T>(work: () => Promise<T>): Promise<T> {
  for (let attempts = 0; ; attempts += 1) {
    try {
      return await work();
    } catch (error) {
      if (!GuildError.is(error, "unauthenticated") || attempts === 2 || !(authProvider instanceof StoredSignIn)) throw error;
      // The browser: it is sent back to our port with the code.
      await signIn({ ...client, open: (address) => void fetch(address).then((page) => page.text()) });
    }
  }
}

const signal = AbortSignal.timeout(200_000);
await signedIn(() => connection.connect());
for (const { name } of scenario === "initialize" ? [] : connection.tools) {
  await signedIn(() => connection.call(name, name === "add_numbers" ? { a: 5, b: 3 } : {}, { signal, progress: () => undefined }));
}
await connection.close();
process.exit(0);
