import { GuildError, type Sandbox } from "@guildhall/core";

import { TOOLKIT_MOUNT } from "../toolkit.ts";

/** Where a sandbox finds its way out: the proxy's socket and the authority that the proxy speaks for. */
export const WAY_OUT_MOUNT = "/run/guildhall-network";

/** Files in the directory of `SandboxSpec.wayOut`. */
export const PROXY_SOCKET = "proxy";
export const AUTHORITY_FILE = "ca.pem";
export const BUNDLE_FILE = "bundle.pem";

/** Port of the proxy on the sandbox's loopback. */
const PROXY_PORT = 3128;

/** The same for whoever has to speak to the proxy from outside of the sandbox, as one of its processes would. */
export const INNER_WAY_OUT = { port: PROXY_PORT, authority: `${WAY_OUT_MOUNT}/${AUTHORITY_FILE}` };

/** More ends than this are no accident: the way out stays shut. */
const MOST_RESTARTS = 20;

/** What programs look at to find the proxy and to trust it. */
export function wayOutEnvironment(): Record<string, string> {
  const proxy = `http://127.0.0.1:${PROXY_PORT}`;
  const local = "localhost,127.0.0.1,::1";
  const bundle = `${WAY_OUT_MOUNT}/${BUNDLE_FILE}`;
  return {
    HTTP_PROXY: proxy,
    http_proxy: proxy,
    HTTPS_PROXY: proxy,
    https_proxy: proxy,
    ALL_PROXY: proxy,
    all_proxy: proxy,
    NO_PROXY: local,
    no_proxy: local,
    NODE_USE_ENV_PROXY: "1",
    NODE_EXTRA_CA_CERTS: `${WAY_OUT_MOUNT}/${AUTHORITY_FILE}`,
    SSL_CERT_FILE: bundle,
    REQUESTS_CA_BUNDLE: bundle,
    CURL_CA_BUNDLE: bundle,
    GIT_SSL_CAINFO: bundle,
    PIP_CERT: bundle,
    CARGO_HTTP_CAINFO: bundle,
    npm_config_cafile: bundle,
    NIX_SSL_CERT_FILE: bundle,
  };
}

/**
 * Makes the proxy's socket reachable as a port on the sandbox's loopback, for as long as the sandbox lives: a relay inside, which whoever is
 * inside can end and nobody can use for more. Resolves when it listens. Throws `failed_precondition`.
 */
export async function bridgeWayOut(sandbox: Sandbox): Promise<void> {
  let restarts = 0;
  const relay = async (): Promise<void> => {
    const execution = await sandbox.exec({
      argv: [
        `${TOOLKIT_MOUNT}/bin/socat`,
        "-d",
        "-d",
        "-t600",
        "-T600",
        `TCP4-LISTEN:${PROXY_PORT},bind=127.0.0.1,reuseaddr,fork,backlog=128`,
        `UNIX-CONNECT:${WAY_OUT_MOUNT}/${PROXY_SOCKET}`,
      ],
      cwd: "/",
    });
    const listening = Promise.withResolvers<void>();
    const read = async (): Promise<void> => {
      let said = "";
      for await (const { bytes } of execution.output) {
        if (said === READY) continue;
        said += Buffer.from(bytes).toString("latin1");
        if (!said.includes(READY)) continue;
        said = READY;
        listening.resolve();
      }
      listening.reject(
        new GuildError("failed_precondition", `the sandbox's way out did not open: ${said.trim().split("\n").at(-1) ?? ""}`),
      );
      restarts += 1;
      if (said === READY && restarts <= MOST_RESTARTS) await relay();
    };
    // A sandbox that ends takes its relay along; what keeps it from opening is told to who waits for it.
    read().catch((error: unknown) => listening.reject(error));
    await listening.promise;
  };
  await relay();
}

const READY = "listening on";
