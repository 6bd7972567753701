import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { GuildError } from "@guildhall/core";
import {
  type ExchangeOperationsRequest,
  ExchangeOperationsRequestSchema,
  type ExchangeOperationsResponse,
  ExchangeOperationsResponseSchema,
} from "@guildhall/protocol";

const TIMEOUT_MS = 30_000;

/** Asks another Guildhall over the Connect protocol (https://connectrpc.com/docs/protocol). Throws `unavailable` when it is away, and what it refuses with. */
export async function askRemote(address: string, token: string, request: ExchangeOperationsRequest): Promise<ExchangeOperationsResponse> {
  const base = /^https?:\/\//.test(address) ? address : `http://${address}`;
  const url = `${base.replace(/\/+$/, "")}/guildhall.v1.KnowledgeService/ExchangeOperations`;
  let response: Response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/proto",
        "connect-protocol-version": "1",
        ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
      },
      body: toBinary(ExchangeOperationsRequestSchema, request),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new GuildError("unavailable", "the other Guildhall does not answer", {
      subject: address,
      remedy: "nothing is lost: the next exchange brings what is missing",
      cause: error,
    });
  }
  const body = new Uint8Array(await response.arrayBuffer());
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
