import {
  type ActionRisk,
  type BlobStore,
  type CommandJudge,
  GuildError,
  type ToolContext,
  type ToolResult,
  type ToolSession,
} from "@guildhall/core";
import { type BlobRef, Risk } from "@guildhall/protocol";
import { z } from "zod";

import { describeExit } from "../bash/shell-session.ts";
import { defineTool } from "../define-tool.ts";
import { leavingByCode } from "../leaving.ts";
import { storedOutputPath } from "../output/stored-output.ts";
import { codeRisk } from "./code-risk.ts";
import { NODE_DRIVER } from "./node-driver.ts";
import type { ReplReply } from "./protocol.ts";
import { PYTHON_DRIVER } from "./python-driver.ts";
import { type Interpreter, type ReplOutcome, ReplProcess } from "./repl-process.ts";

export interface ReplOptions {
  /** Programs within the sandbox; default `python3` and `node` of its PATH. */
  python?: string;
  node?: string;
}

const DEFAULT_S = 60;
const schema = z.strictObject({
  code: z.string().optional().describe("The value of its last expression is shown"),
  timeout_s: z.number().positive().max(3600).optional().describe(`Default ${DEFAULT_S}; then it is interrupted`),
  restart: z.boolean().optional().describe("Start a fresh interpreter first"),
});

type ReplInput = z.output<typeof schema>;

/** A Python that keeps its variables from call to call; see docs/tools.md. */
export function createPythonTool(options: ReplOptions = {}) {
  return createReplTool(
    {
      name: "python",
      argv: [options.python ?? "python3", "-u", "-c", PYTHON_DRIVER],
      env: { PYTHONDONTWRITEBYTECODE: "1", PYTHONIOENCODING: "utf-8", NO_COLOR: "1" },
      interruptMessage: false,
    },
    "Run Python in an interpreter that keeps its state; top-level await and display(…) work, figures and images are kept.",
  );
}

/** A Node.js that keeps its variables from call to call; see docs/tools.md. */
export function createNodeTool(options: ReplOptions = {}) {
  return createReplTool(
    {
      name: "node",
      argv: [options.node ?? "node", "--no-warnings", "-e", NODE_DRIVER],
      env: { NO_COLOR: "1", NODE_NO_READLINE: "1" },
      interruptMessage: true,
    },
    "Run JavaScript in a Node.js that keeps its state; top-level await, import and require work.",
  );
}

function createReplTool(interpreter: Interpreter, description: string) {
  return defineTool({
    name: interpreter.name,
    description,
    lazy: true,
    schema,
    risk: () => Risk.MEDIUM,
    assess: ({ code }: ReplInput, judge: CommandJudge): ActionRisk => codeRisk(code ?? "", judge),
    resources: () => [
      { name: `repl:${interpreter.name}`, access: "write" },
      { name: "workspace", access: "write" },
    ],
    sends: ({ code }) => leavingByCode(code),
    async execute(input, context) {
      const kept = context.session.get(`repl:${interpreter.name}`, () => new KeptRepl(interpreter, context.session));
      return kept.exclusively(() => call(kept, input, context));
    },
  });
}

/** A session's interpreter, started when it is first needed and replaced when it ends. */
class KeptRepl {
  readonly #interpreter: Interpreter;
  readonly #session: ToolSession;
  #process: ReplProcess | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(interpreter: Interpreter, session: ToolSession) {
    this.#interpreter = interpreter;
    this.#session = session;
  }

  /** One request at a time. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(work, work);
    // The caller hears of a failure; the next request does not depend on it.
    this.#queue = run.catch(() => undefined);
    return run;
  }

  held(): string | undefined {
    return this.#process?.ended === false ? `an interpreter (${this.#interpreter.name})` : undefined;
  }

  async process(): Promise<ReplProcess> {
    if (this.#process?.ended === true) await this.end();
    const { sandbox, blobs, masker } = this.#session;
    return (this.#process ??= await ReplProcess.start(sandbox, this.#interpreter, { blobs, masker }));
  }

  async end(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    await process?.close();
  }

  async close(): Promise<void> {
    await this.end();
  }
}

async function call(kept: KeptRepl, input: ReplInput, context: ToolContext): Promise<ToolResult> {
  const { code } = input;
  if (input.restart === true) await kept.end();
  if (code === undefined) {
    if (input.restart === true) return { status: "ok", output: "[fresh interpreter]" };
    return { status: "error", output: "Give code, or restart." };
  }
  const begun = performance.now();
  let outcome: ReplOutcome;
  try {
    const process = await kept.process();
    outcome = await process.run(code, {
      timeoutMs: (input.timeout_s ?? DEFAULT_S) * 1000,
      signal: context.signal,
      progress: (text) => context.progress(text),
    });
  } catch (error) {
    await kept.end();
    if (GuildError.is(error, "not_found")) return { status: "error", output: `There is no such interpreter in the sandbox: ${error.line}` };
    throw error;
  }
  const { end } = outcome;
  if (end.kind !== "reply") await kept.end();
  const images = end.kind === "reply" ? await storeImages(end.reply, context.session.blobs) : [];
  const output = render(outcome, images, input.timeout_s ?? DEFAULT_S);
  const result: ToolResult = {
    status: end.kind === "reply" && end.reply.status === "ok" ? "ok" : "error",
    output,
    data: {
      status: end.kind === "reply" ? end.reply.status : end.kind,
      timed_out: outcome.timedOut,
      restarted: end.kind !== "reply",
      duration_ms: Math.round((performance.now() - begun) * 10) / 10,
      truncated: outcome.output.truncated,
      images: images.map(({ digest, size, mediaType }) => ({ digest, size: Number(size), mime: mediaType })),
    },
  };
  if (images.length > 0) result.images = images;
  if (outcome.output.fullOutput !== undefined) result.fullOutput = outcome.output.fullOutput;
  return result;
}

function render({ end, output, timedOut }: ReplOutcome, images: readonly BlobRef[], seconds: number): string {
  const parts = [output.text.replace(/\n$/, "")];
  if (end.kind === "reply") {
    const { reply } = end;
    for (const { mime, data } of reply.displays)
      if (isText(mime)) parts.push(data.length > 4_000 ? `[${mime}, ${data.length} characters]` : data);
    if (reply.value !== undefined) parts.push(reply.value);
    for (const image of images)
      parts.push(`[${image.mediaType}, ${Number(image.size).toLocaleString("en")} bytes: ${storedOutputPath(image.digest)}]`);
    if (reply.status === "interrupted" && timedOut) parts.push(`[interrupted after ${seconds} s; its state is kept]`);
    else if (reply.error !== undefined) parts.push(reply.error);
  } else if (end.kind === "ended") {
    parts.push(`[the interpreter ended (${describeExit(end.status)}); the next call gets a fresh one, without its state]`);
  } else {
    parts.push("[the interpreter did not stop when it was interrupted, and was ended; the next call gets a fresh one, without its state]");
  }
  return parts.filter((part) => part !== "").join("\n");
}

const isText = (mime: string): boolean => mime === "text/markdown" || mime === "application/json" || mime === "text/html";

function storeImages(reply: ReplReply, blobs: BlobStore): Promise<BlobRef[]> {
  const images = reply.displays.filter(({ mime }) => mime.startsWith("image/"));
  return Promise.all(
    images.map(({ mime, data }) => blobs.put(mime === "image/svg+xml" ? Buffer.from(data) : Buffer.from(data, "base64"), mime)),
  );
}
