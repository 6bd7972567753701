import { fromJson, toJson } from "@bufbuild/protobuf";
import { GuildError } from "@guildhall/core";
import { type Operation, OperationSchema, type Scope, type ScopeKind } from "@guildhall/protocol";

import { scopeKey } from "./conflicts.ts";
import { withheld } from "./exchange.ts";
import type { Ledger } from "./ledger.ts";

/** First line of a copy. A newer version is refused, an older one read. */
const HEADER = { guildhall: "knowledge", version: 1 };
const LONGEST_LINE = 8 * 2 ** 20;

/** All operations as JSON lines: a heading, one operation a line, and a last line that says how many. Of other scopes than are asked for only the place is told. */
export function* exportOperations(ledger: Ledger, scopes: readonly Scope[]): Generator<string> {
  const wanted = new Set(scopes.map((scope) => scopeKey({ scope })));
  const kinds = new Set(scopes.map((scope) => scope.kind));
  yield `${JSON.stringify(HEADER)}\n`;
  let count = 0;
  for (const operation of ledger.after({}, Infinity).operations) {
    const leaves = (kind: ScopeKind): boolean => wanted.size === 0 || kinds.has(kind);
    const left = withheld(operation, ledger, leaves);
    const put = left.change.case === "put" ? left.change.value : undefined;
    const other = put !== undefined && wanted.size > 0 && !wanted.has(scopeKey(put));
    yield `${JSON.stringify(toJson(OperationSchema, other ? withheld(operation, ledger, () => false) : left))}\n`;
    count += 1;
  }
  yield `${JSON.stringify({ end: count })}\n`;
}

/** Reads a copy whole before anything of it counts. Throws `invalid_argument` for no copy, `version_mismatch` for a newer one, `corrupt` for a damaged or cut one. */
export async function readOperations(chunks: AsyncIterable<Uint8Array>): Promise<Operation[]> {
  const operations: Operation[] = [];
  let number = 0;
  let end: number | undefined;
  for await (const line of linesOf(chunks)) {
    number += 1;
    const value = parse(line, number);
    if (number === 1) checkHeader(value);
    else if (end !== undefined) throw damaged(`line ${number} stands behind its end`);
    else if (typeof value["end"] === "number") end = value["end"];
    else operations.push(operationOf(value, number));
  }
  if (number === 0) throw new GuildError("invalid_argument", "this is no copy of knowledge: it is empty");
  if (end !== operations.length) throw damaged(`it should hold ${end ?? "more"} operations, not ${operations.length}`);
  return operations;
}

function checkHeader(value: Record<string, unknown>): void {
  if (value["guildhall"] !== HEADER.guildhall) throw new GuildError("invalid_argument", "this is no copy of knowledge");
  if (typeof value["version"] !== "number" || value["version"] > HEADER.version) {
    throw new GuildError(
      "version_mismatch",
      `the copy is of version ${String(value["version"])}, this Guildhall reads up to ${HEADER.version}`,
      {
        remedy: "use the newer Guildhall that wrote it",
      },
    );
  }
}

function operationOf(value: Record<string, unknown>, number: number): Operation {
  try {
    return fromJson(OperationSchema, value as never);
  } catch (error) {
    throw damaged(`line ${number}`, error);
  }
}

function parse(line: string, number: number): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    if (number > 1) throw damaged(`line ${number} is no JSON`, error);
  }
  if (number === 1) throw new GuildError("invalid_argument", "this is no copy of knowledge");
  throw damaged(`line ${number} is no object`);
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8");
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LONGEST_LINE) throw damaged("a line has no end");
    for (const line of lines) if (line !== "") yield line;
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}

function damaged(what: string, cause?: unknown): GuildError {
  return new GuildError("corrupt", `the copy is damaged: ${what}`, { remedy: "export it again", cause });
}
