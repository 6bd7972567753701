import { GuildError, type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "../define-tool.ts";
import { storedOutputPath } from "../output/stored-output.ts";
import { isConfiguration, lexicalPath, workspacePath } from "../workspace-path.ts";
import { isLoopback, LONG_URL, webAddress } from "./address.ts";
import { ACCEPT_ENCODING, readBody } from "./body.ts";
import { type Answer, exchange } from "./exchange.ts";
import { readPage } from "./html-text.ts";
import { decodeText, isHtml, isText, mediaType } from "./media-type.ts";
import { withinTime } from "./time-limit.ts";
import { recordText } from "./untrusted.ts";

const DEFAULT_S = 30;
const MOST_REDIRECTS = 10;
/** Of a file that is saved, bytes. */
const MOST_SAVED = 64 * 1024 * 1024;

const schema = z.strictObject({
  url: z.string().min(1).describe("http or https"),
  raw: z.boolean().optional().describe("The source, not readable text"),
  save_to: z.string().min(1).optional().describe("Write the body to this file of the workspace"),
  timeout_s: z.number().positive().max(300).optional().describe(`Default ${DEFAULT_S}`),
});
type FetchInput = z.output<typeof schema>;

/** A URL as readable text, within the network policy; see docs/tools.md. */
export function createFetchTool(workspace: string) {
  return defineTool({
    name: "fetch",
    description: "Fetch a web page or file as readable text; HTML becomes Markdown.",
    lazy: true,
    schema,
    risk: ({ save_to }) => (save_to === undefined ? Risk.LOW : isConfiguration(workspace, save_to) ? Risk.HIGH : Risk.MEDIUM),
    resources: ({ save_to }) => (save_to === undefined ? [] : [{ name: `file:${lexicalPath(workspace, save_to)}`, access: "write" }]),
    sends: ({ url }) => (url.length > LONG_URL ? `GET ${url.slice(0, 60)}…` : undefined),
    repeatable: ({ save_to }) => save_to === undefined,
    execute: (input, context) => withinTime(context.signal, input.timeout_s ?? DEFAULT_S, (signal) => run(input, context, signal)),
  });
}

async function run(input: FetchInput, { session }: ToolContext, signal: AbortSignal): Promise<ToolResult> {
  const began = performance.now();
  const { answer, url, hops } = await follow(webAddress(input.url), session.sandbox, signal);
  const saved = input.save_to;
  const { bytes, cut } = await readBody(answer, signal, saved === undefined ? undefined : MOST_SAVED);
  const media = mediaType(answer.headers["content-type"], bytes);
  const ok = answer.status >= 200 && answer.status < 300;
  const data = {
    url: url.href,
    status: answer.status,
    type: media.type,
    bytes: bytes.length,
    cut,
    redirects: hops,
    duration_ms: Math.round(performance.now() - began),
  };
  const head = `${url.href} — ${answer.status} ${answer.statusText}, ${media.type}, ${bytes.length.toLocaleString("en")} bytes${cut ? " (cut off there)" : ""}`;
  const untrusted = isLoopback(url) ? {} : { untrusted: url.origin };
  if (saved !== undefined) {
    if (!ok || cut) return { status: "error", output: `${head}\nNothing was written to ${saved}.`, data, ...untrusted };
    const { real } = await workspacePath(session.sandbox, saved);
    await session.sandbox.files.write(real, bytes, { parents: true });
    return { status: "ok", output: `${head}\nWritten to ${saved}.`, data, ...untrusted };
  }
  if (!isText(media)) {
    const blob = await session.blobs.put(bytes, media.type);
    const images = media.type.startsWith("image/") && !cut ? { images: [blob] } : {};
    const kept = `It is no text; kept as ${storedOutputPath(blob.digest)}, and save_to writes it into the workspace.`;
    return { status: ok ? "ok" : "error", output: `${head}\n${kept}`, data, fullOutput: blob, ...images, ...untrusted };
  }
  const source = decodeText(bytes, media);
  const page = isHtml(media) && input.raw !== true ? await readPage(source, url) : { title: "", text: source };
  const { text, fullOutput } = await recordText(page.text, session);
  const output = [head, ...(page.title === "" ? [] : [`Title: ${page.title}`]), "", text === "" ? "(nothing to read)" : text].join("\n");
  return {
    status: ok ? "ok" : "error",
    output,
    data: { ...data, title: page.title },
    ...(fullOutput === undefined ? {} : { fullOutput }),
    ...untrusted,
  };
}

/** Each hop is a request of its own, which the policy judges like any other. */
async function follow(
  first: URL,
  sandbox: Parameters<typeof exchange>[0],
  signal: AbortSignal,
): Promise<{ answer: Answer; url: URL; hops: string[] }> {
  let url = first;
  const hops: string[] = [];
  for (;;) {
    const headers = {
      accept: "text/html,application/xhtml+xml,text/markdown;q=0.9,*/*;q=0.8",
      "accept-encoding": ACCEPT_ENCODING,
      "user-agent": USER_AGENT,
    };
    const answer = await exchange(sandbox, { url, method: "GET", headers }, signal);
    const { location } = answer.headers;
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return { answer, url, hops };
    answer.close();
    const next = webAddress(new URL(location, url).href);
    if (isLoopback(next) && !isLoopback(url)) {
      throw new GuildError("permission_denied", `${url.host} redirects to ${next.host}, which is the sandbox itself`, {
        subject: next.href,
      });
    }
    hops.push(next.href);
    if (hops.length > MOST_REDIRECTS) throw new GuildError("unavailable", `${first.host} redirects more than ${MOST_REDIRECTS} times`);
    url = next;
  }
}

export const USER_AGENT = "Guildhall (agent; +text)";
