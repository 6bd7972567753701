import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { Secrets } from "@guildhall/core";

import { readMcpServers } from "./server-config.ts";
import { StoredSignIn } from "./stored-sign-in.ts";

const nothing: Secrets = { get: async () => undefined, set: async () => undefined, delete: async () => undefined, names: async () => [] };
const url = "https://tools.example/mcp";

/** What is found: where the authorization server is, what it calls itself, where people are sent. */
function found(place: string, issuer: string, token = `${place}/token`) {
  const metadata = { issuer, authorization_endpoint: `${place}/authorize`, token_endpoint: token, response_types_supported: ["code"] };
  return { authorizationServerUrl: place, authorizationServerMetadata: metadata };
}

describe("a sign-in whose configuration names the issuer", () => {
  const signIn = new StoredSignIn({ url, secrets: async () => nothing, issuer: "https://tools.example/oauth" });

  it("takes that one, also where the server itself is it under another name", () => {
    signIn.saveDiscoveryState(found("https://tools.example/oauth", "https://tools.example/oauth/"));
    signIn.saveDiscoveryState(found("https://tools.example", "https://tools.example/oauth"));
  });

  it("shows nothing to another one, nor to who only calls himself that", () => {
    assert.throws(
      () => signIn.saveDiscoveryState(found("https://evil.example", "https://evil.example")),
      /authorization server https:\/\/evil/,
    );
    assert.throws(() => signIn.saveDiscoveryState(found("https://evil.example", "https://tools.example/oauth")), /is another server/);
    const elsewhere = found("https://tools.example", "https://tools.example/oauth", "https://evil.example/token");
    assert.throws(() => signIn.saveDiscoveryState(elsewhere), /evil\.example\/token calls itself/);
  });

  it("comes back to the authorization server that the person was sent to", () => {
    const person = { redirectUrl: "http://127.0.0.1:1/callback", state: "s", open: () => undefined };
    const withPerson = new StoredSignIn({ url, secrets: async () => nothing, person });
    const sent = found("https://login.example", "https://login.example");
    withPerson.saveDiscoveryState(sent);
    assert.equal(withPerson.discoveryState(), sent);
  });
});

describe("a server that an enterprise's identity provider vouches at", () => {
  const oauth = { grant: "cross_app_access", client_id: "us", client_secret: "${THEIRS}", issuer: "https://login.example" };
  const file = (more: object) => JSON.stringify({ mcpServers: { tools: { url, oauth: { ...oauth, ...more } } } });

  it("names the identity provider, or is refused", () => {
    const identity_provider = { issuer: "https://idp.example", client_id: "guildhall", id_token: "${ID_TOKEN}" };
    assert.equal(readMcpServers(file({ identity_provider }), "mcp.json", "operator").length, 1);
    assert.throws(() => readMcpServers(file({}), "mcp.json", "operator"), { message: /cross_app_access needs client_id/ });
  });
});
