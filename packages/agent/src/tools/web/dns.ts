import { GuildError, type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "../define-tool.ts";
import { policyRemedy } from "./address.ts";
import { readBody } from "./body.ts";
import { exchange } from "./exchange.ts";
import { withinTime } from "./time-limit.ts";

const TYPES = ["A", "AAAA", "CNAME", "MX", "NS", "SOA", "SRV", "TXT", "CAA"] as const;
const schema = z.strictObject({
  name: z.string().min(1),
  types: z.array(z.enum(TYPES)).min(1).max(TYPES.length).optional().describe("Default A and AAAA"),
});

const answerSchema = z.union([
  z.object({ refused: z.string() }),
  z.object({
    records: z.array(z.object({ value: z.string(), ttl: z.number().optional(), remark: z.string().optional() })),
    error: z.string(),
    ms: z.number(),
  }),
]);

/** Where the way out answers questions about names. */
const NAMES_URL = "http://dns.guildhall/";

/** Records of a name that the network policy allows. */
export const dnsTool = defineTool({
  name: "dns",
  description: "Look up DNS records of a host name.",
  lazy: true,
  schema,
  risk: () => Risk.LOW,
  resources: () => [],
  execute: (input, context) => withinTime(context.signal, 30, (signal) => look(input, context, signal)),
});

async function look(
  { name, types = ["A", "AAAA"] }: z.output<typeof schema>,
  { session }: ToolContext,
  signal: AbortSignal,
): Promise<ToolResult> {
  const host = URL.canParse(`http://${name}/`) ? new URL(`http://${name}/`).hostname : "";
  if (host === "" || /^[\d.]+$|^\[/.test(host))
    return { status: "error", output: `${JSON.stringify(name.slice(0, 200))} is no name of a host.` };
  const lines: string[] = [];
  const found: Record<string, unknown>[] = [];
  for (const type of new Set(types)) {
    const url = new URL(NAMES_URL);
    url.search = new URLSearchParams({ name: host, type }).toString();
    if (session.sandbox.wayOut === undefined) {
      throw new GuildError(
        "permission_denied",
        `no rule allows ${host}: the network of this sandbox is closed`,
        policyRemedy("closed", new URL(`https://${host}`)),
      );
    }
    const answer = await exchange(session.sandbox, { url, method: "GET", headers: {} }, signal);
    const told = answerSchema.parse(JSON.parse((await readBody(answer, signal)).bytes.toString()));
    if ("refused" in told) {
      throw new GuildError("permission_denied", told.refused, { subject: host, ...policyRemedy(told.refused, new URL(`https://${host}`)) });
    }
    found.push({ type, records: told.records, error: told.error, ms: told.ms });
    if (told.records.length === 0) lines.push(`${type.padEnd(5)} none${told.error === "" ? "" : ` (${told.error})`}, ${told.ms} ms`);
    for (const { value, ttl, remark } of told.records) {
      lines.push(
        `${type.padEnd(5)} ${value.slice(0, 1_000)}${ttl === undefined ? "" : `  ttl ${ttl}`}${remark === undefined ? "" : `  [${remark}]`}`,
      );
    }
    if (told.records.length > 0) lines.push(`${type.padEnd(5)} [${told.ms} ms]`);
  }
  const any = found.some(({ records }) => Array.isArray(records) && records.length > 0);
  return { status: any ? "ok" : "error", output: lines.join("\n"), data: { name: host, answers: found }, untrusted: `DNS of ${host}` };
}
