import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { GuildError } from "@guildhall/core";
import {
  type ExchangeOperationsRequest,
  ExchangeOperationsRequestSchema,
  type ExchangeOperationsResponse,
  ExchangeOperationsResponseSchema,
} from "@guildhall/protocol";

import type { Remote } from "./exchanger.ts";

/** Addresses of a setting, with spaces or commas between. */
export function addressesIn(setting: string): string[] {
  return setting.split(/[\s,]+/).filter((one) => one !== "");
}

/** Another Guildhall by its address, over the Connect protocol (https://connectrpc.com/docs/protocol). */
export function remoteAt(address: string, token: string): Remote {
  return { name: address, ask: (request, options) => ask(address, token, request, options) };
}

/** Throws `unavailable` when it is away, and what it refuses with. */
async function ask(
  address: string,
  token: string,
  request: ExchangeOperationsRequest,
  { timeoutMs, waitMs, signal }: { timeoutMs: number; waitMs: number; signal?: AbortSignal },
): Promise<ExchangeOperationsResponse> {
  const over = AbortSignal.timeout(timeoutMs);
  const base = /^https?:\/\//.test(address) ? address : `http://${address}`;
  const url = `${base.replace(/\/+$/, "")}/guildhall.v1.KnowledgeService/ExchangeOperations`;
  let response: Response;
  let body: Uint8Array;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/proto",
        "connect-protocol-version": "1",
        ...(waitMs === 0 ? {} : { prefer: `wait=${Math.ceil(waitMs / 1_000)}` }),
        ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
      },
      body: toBinary(ExchangeOperationsRequestSchema, request),
      signal: signal === undefined ? over : AbortSignal.any([over, signal]),
    });
    body = new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new GuildError("unavailable", "the other Guildhall does not answer", {
      subject: address,
      remedy: "nothing is lost: the next exchange brings what is missing",
      cause: error,
    });
  }
  if (response.ok) return fromBinary(ExchangeOperationsResponseSchema, body);
  const said = new TextDecoder().decode(body).slice(0, 300);
  const code = response.status === 401 || response.status === 403 ? "unauthenticated" : "failed_precondition";
  throw new GuildError(code, `the other Guildhall refused: ${messageOf(said)}`, {
    subject: address,
    remedy: code === "unauthenticated" ? "set knowledge.remote_token to its token" : "see its log",
  });
}

function messageOf(body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    return typeof message === "string" ? message : body;
  } catch {
    // Not in the protocol's form: said as it is.
    return body;
  }
}
