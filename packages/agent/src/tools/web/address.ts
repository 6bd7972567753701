import { GuildError } from "@guildhall/core";

/** Reads a URL that a model wrote. Throws `invalid_argument`: only http and https, no user or password in it. */
export function webAddress(text: string): URL {
  let url: URL;
  try {
    const complete = /^[a-z][a-z0-9+.-]*:(?!\d)/i.test(text);
    const local = /^(localhost|127\.0\.0\.1|\[::1\])([:/]|$)/i.test(text);
    url = new URL(complete ? text : `${local ? "http" : "https"}://${text}`);
  } catch {
    throw new GuildError("invalid_argument", `${JSON.stringify(text.slice(0, 200))} is no URL`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new GuildError("invalid_argument", `${url.protocol} is not fetched, only http: and https:`);
  }
  if (url.username !== "" || url.password !== "")
    throw new GuildError("invalid_argument", "a URL with a user or password in it is not sent");
  return url;
}

/** The sandbox's own loopback, by the names that programs use for it. */
export function isLoopback(url: URL): boolean {
  return ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname) || url.hostname.endsWith(".localhost");
}

/** What an operator would write to allow it, where a rule could; for the remedy of an error. */
export function policyRemedy(reason: string, url: URL): { remedy?: string } {
  if (!/^no rule|TLS only|closed/.test(reason)) return {};
  const plain = url.protocol === "http:" ? ", plain = true" : "";
  const port = url.port === "" ? "" : `, ports = [${url.port}]`;
  const rule = `{ host = "${url.hostname}"${port}${plain} }`;
  return { remedy: `the operator's policy.toml would allow it with [network] rules = [${rule}]` };
}

/** An address longer than this can carry more than a question. */
export const LONG_URL = 300;
