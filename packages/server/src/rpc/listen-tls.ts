import http2 from "node:http2";
import type net from "node:net";
import type { TLSSocket } from "node:tls";

import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { GuildError } from "@guildhall/core";

import type { CertificateFiles } from "../certs/private-authority.ts";
import { statusOf } from "./errors.ts";
import { type Listener, type ListenOptions, type RequestHandler, widen, wideWindows } from "./listen.ts";

/** HTTP/1.1 and HTTP/2 over TLS 1.3. Clients may show a certificate of the same authority; see {@link requireCertificate}. */
export async function listenOnTls(
  address: { host: string; port: number },
  files: CertificateFiles,
  options: ListenOptions,
): Promise<Listener> {
  const server = http2.createSecureServer(
    { ...wideWindows, ...files, minVersion: "TLSv1.3", allowHTTP1: true, requestCert: true, rejectUnauthorized: false },
    options.handler,
  );
  server.on("session", widen);
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    const ended = options.connected();
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      sockets.delete(socket);
      ended();
    });
  });
  // A handshake that fails concerns the client alone.
  server.on("tlsClientError", (_: Error, socket: TLSSocket) => void socket.destroy());
  server.setTimeout(0);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const subject = `${address.host}:${address.port}`;
      reject(new GuildError("unavailable", `cannot listen: ${error.message}`, { subject, remedy: "choose another address", cause: error }));
    });
    server.listen(address, resolve);
  });
  const bound = server.address() as net.AddressInfo;
  const host = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
  let closed: Promise<void> | undefined;
  const refuse = (): void => {
    closed ??= new Promise((resolve) => server.close(() => resolve()));
  };
  return {
    address: `https://${host}:${bound.port}`,
    refuse,
    async close() {
      refuse();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** What services say to each other needs a certificate of our authority, but for paths that begin with `open`; everything else goes to `others`. */
export function requireCertificate(handler: RequestHandler, others: RequestHandler, open: string): RequestHandler {
  return (request, response) => {
    if ((request.socket as TLSSocket).authorized || request.url?.startsWith(open) === true) return handler(request, response);
    if (request.url?.startsWith("/guildhall.internal.") !== true) return others(request, response);
    // A status of gRPC, which services speak: nothing but trailers.
    const headers = new Headers({ "content-type": "application/grpc+proto" });
    setTrailerStatus(headers, statusOf(unproved(request.socket as TLSSocket)));
    headers.forEach((value, name) => void response.setHeader(name, value));
    response.end();
  };
}

/** What is wrong with the certificate that a caller has shown. */
function unproved(socket: TLSSocket): GuildError {
  const shown = Object.keys(socket.getPeerCertificate()).length > 0;
  const reason = String(socket.authorizationError);
  const expired = reason.includes("CERT_HAS_EXPIRED");
  const what = !shown
    ? "you have shown no certificate"
    : expired
      ? "your certificate has expired"
      : "your certificate is not of our authority";
  return new GuildError("unauthenticated", what, {
    remedy: expired
      ? "make another: guild certs issue"
      : "both sides need certificates of one authority: guild certs issue, services.certs",
  });
}
