import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

import { GuildError } from "@guildhall/core";

import type { RequestHandler } from "./listen.ts";

/**
 * Lets through only requests that carry the token (`Authorization: Bearer …`), whose Host is an address literal or localhost (so that no
 * rebound DNS name reaches us through a browser), and whose Origin, where there is one, is that Host. The token is made at first use.
 */
export function requireToken(file: string, handler: RequestHandler): RequestHandler {
  return requireTokenOf(readToken(file), handler);
}

/** The same with a token that is known already; `hosts`: names that are served besides, `*` is any. */
export function requireTokenOf(token: string, handler: RequestHandler, hosts: readonly string[] = []): RequestHandler {
  const expected = digest(token);
  return (request, response) => {
    const { headers } = request;
    // Whoever watches over processes (a load balancer, a kubelet) asks without a token; there is nothing to learn but that it lives.
    if (request.url?.startsWith("/grpc.health.v1.Health/") === true) return handler(request, response);
    const refuse = (status: number, text: string): void => {
      response.statusCode = status;
      response.setHeader("content-type", "text/plain");
      response.end(`${text}\n`);
    };
    const host = headers[":authority"] ?? headers.host;
    if (typeof host !== "string" || !(isLocalName(host) || isNamed(host, hosts))) return refuse(403, "this Host is not served");
    const origin = headers.origin;
    if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)
      return refuse(403, "this Origin is not served");
    const given = /^Bearer (.+)$/i.exec(headers.authorization ?? "")?.[1] ?? "";
    if (!timingSafeEqual(digest(given), expected)) return refuse(401, "a token is needed: Authorization: Bearer <token>");
    handler(request, response);
  };
}

/** The token in `file`, made when absent. Throws `permission_denied` when others can read it. */
export function readToken(file: string): string {
  if (!existsSync(file)) {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
  }
  if ((statSync(file).mode & 0o077) !== 0) {
    throw new GuildError("permission_denied", "others can read the token", { subject: file, remedy: `remove it, or chmod 600 ${file}` });
  }
  return readFileSync(file, "utf8").trim();
}

function isNamed(host: string, hosts: readonly string[]): boolean {
  return hosts.includes("*") || hosts.includes(host.replace(/:\d+$/, ""));
}

function isLocalName(host: string): boolean {
  const name = host.replace(/:\d+$/, "");
  return name === "localhost" || /^\d{1,3}(\.\d{1,3}){3}$/.test(name) || /^\[[0-9a-fA-F:.]+\]$/.test(name);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
