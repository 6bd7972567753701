import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { GuildError } from "@guildhall/core";

import { StoredSignIn, type StoredSignInOptions } from "./stored-sign-in.ts";

/** How long a person may take, milliseconds. */
const PATIENCE_MS = 10 * 60_000;

/**
 * Signs a person in at an MCP server with OAuth: `open` is given the address for the browser, the answer comes back to a port of our own on the
 * loopback, and the tokens go into the secrets store. Resolves when they are there. Throws `unauthenticated`, `deadline_exceeded`.
 */
export async function signIn(options: Omit<StoredSignInOptions, "person"> & { open(url: URL): void; signal?: AbortSignal }): Promise<void> {
  const { auth, extractWWWAuthenticateParams } = await import("@modelcontextprotocol/client");
  const state = randomBytes(24).toString("base64url");
  const answer = Promise.withResolvers<URLSearchParams>();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    if (url.pathname !== "/callback" || url.searchParams.get("state") !== state) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": "text/plain; charset=utf-8", connection: "close" });
    response.end("Guildhall has its answer. This page can be closed.\n");
    answer.resolve(url.searchParams);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = (): void => answer.reject(GuildError.from(options.signal?.reason));
  options.signal?.addEventListener("abort", stop, { once: true });
  const late = setTimeout(
    () => answer.reject(new GuildError("deadline_exceeded", "nobody has signed in", { subject: options.url })),
    PATIENCE_MS,
  );
  // Only awaited once the person is on the way.
  answer.promise.catch(() => undefined);
  try {
    const redirectUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`;
    const provider = new StoredSignIn({ ...options, person: { redirectUrl, state, open: options.open } });
    // From the beginning: what is stored may be what does not work, and a registration names another port.
    const wanted = await provider.wanted();
    await provider.invalidateCredentials("all");
    const asked = await fetch(options.url, {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json" },
      redirect: "manual",
    });
    await asked.body?.cancel();
    const challenge = extractWWWAuthenticateParams(asked);
    const { resourceMetadataUrl } = challenge;
    const scope = wanted ?? challenge.scope ?? options.scope;
    const place = {
      serverUrl: options.url,
      ...(resourceMetadataUrl === undefined ? {} : { resourceMetadataUrl }),
      // The provider looks at it more closely.
      skipIssuerMetadataValidation: options.issuer !== undefined,
    };
    const first = await auth(provider, { ...place, ...(scope === undefined ? {} : { scope }) });
    if (first === "AUTHORIZED") return;
    const said = await answer.promise;
    const code = said.get("code");
    if (code === null) {
      const why = said.get("error_description") ?? said.get("error") ?? "no code came back";
      throw new GuildError("unauthenticated", `the sign-in was refused: ${why}`, { subject: options.url });
    }
    const iss = said.get("iss");
    await auth(provider, { ...place, authorizationCode: code, ...(iss === null ? {} : { iss }) });
  } catch (error) {
    if (GuildError.is(error)) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new GuildError("unauthenticated", `the sign-in failed: ${why}`, { subject: options.url, cause: error });
  } finally {
    clearTimeout(late);
    options.signal?.removeEventListener("abort", stop);
    server.close();
    server.closeAllConnections();
  }
}
