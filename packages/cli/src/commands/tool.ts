import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import { GuildError } from "@guildhall/core";
import { ActionStatus, type CallToolsResponse } from "@guildhall/protocol";

import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { parseJson, workspaceOf } from "./arguments.ts";
import { withConnection } from "./session.ts";

interface CallOptions {
  args: string;
  script?: string;
  workspace?: string;
  sandbox?: string;
  json?: boolean;
}

/** `guild tool list`: what every session has, what this workspace brings, and how each source of that stands. */
export function listTools(context: Context, options: { workspace?: string; sandbox?: string; json?: boolean }): Promise<number> {
  return withConnection(context, async (connection) => {
    const workspace = workspaceOf(context, options.workspace);
    const { tools, sources } = await connection.tools.listTools({ workspace, sandbox: options.sandbox ?? "" });
    const width = Math.max(14, ...tools.map(({ name }) => name.length));
    for (const tool of tools) {
      const line = {
        id: tool.name,
        type: "tool",
        name: tool.name,
        source: tool.source,
        description: tool.description,
        schema: JSON.parse(tool.schema) as unknown,
      };
      context.stdout.write(
        options.json === true ? `${JSON.stringify(line)}\n` : `${tool.name.padEnd(width)} ${tool.description.split("\n")[0]}\n`,
      );
    }
    for (const { name, origin, state, detail, tools: count } of sources) {
      const line = { id: `source:${name}`, type: "source", name, origin, state, tools: count, detail };
      const said = [name.padEnd(width), state.padEnd(9), `${count} tools, ${origin}`, ...(detail === "" ? [] : [detail])].join("  ");
      context.stdout.write(options.json === true ? `${JSON.stringify(line)}\n` : `${said}\n`);
    }
    return exitCode.done;
  });
}

/** `guild tool call`: every call runs, one after the other, in one sandbox; exit code 1 when one of them has status `error`. */
export async function callTools(context: Context, name: string | undefined, options: CallOptions): Promise<number> {
  const calls = options.script === undefined ? [singleCall(name, options.args)] : readScript(context, name, options.script);
  return await withConnection(context, async (connection) => {
    let failed = false;
    const request = {
      workspace: workspaceOf(context, options.workspace),
      sandbox: options.sandbox ?? "",
      calls: calls.map((call, index) => ({ callId: `call_${index + 1}`, tool: call.name, arguments: JSON.stringify(call.args) })),
    };
    for await (const response of connection.tools.callTools(request)) {
      failed ||= response.status !== ActionStatus.OK;
      print(context, response, options.json === true);
    }
    return failed ? exitCode.failed : exitCode.done;
  });
}

interface Call {
  name: string;
  args: unknown;
}

function singleCall(name: string | undefined, args: string): Call {
  if (name === undefined)
    throw new GuildError("invalid_argument", "no tool is named", { remedy: "give a name (guild tool list) or --script FILE" });
  return { name, args: parseJson(args, "--args") };
}

function readScript(context: Context, name: string | undefined, file: string): Call[] {
  if (name !== undefined)
    throw new GuildError("invalid_argument", "a tool's name and --script exclude each other", { remedy: "give one of them" });
  const path = resolve(context.cwd, file);
  const list = parseJson(readText(file === "-" ? 0 : path, path), file);
  if (!Array.isArray(list))
    throw new GuildError("invalid_argument", `${file} is no JSON list of calls`, {
      remedy: 'write [{"name": "bash", "args": {"command": "ls"}}]',
    });
  return list.map((entry: unknown, index) => {
    const { name: tool, args } = (typeof entry === "object" && entry !== null ? entry : {}) as { name?: unknown; args?: unknown };
    if (typeof tool !== "string")
      throw new GuildError("invalid_argument", `call ${index + 1} of ${file} has no name`, { remedy: 'write {"name": …, "args": {…}}' });
    return { name: tool, args: args ?? {} };
  });
}

function readText(from: number | string, path: string): string {
  try {
    return readFileSync(from, "utf8");
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw new GuildError(missing ? "not_found" : "permission_denied", missing ? "there is no such file" : "the file cannot be read", {
      subject: path,
      remedy: missing ? "check its name" : "check its owner and mode",
      cause: error,
    });
  }
}

function print(context: Context, response: CallToolsResponse, json: boolean): void {
  const status = response.status === ActionStatus.OK ? "ok" : "error";
  if (!json) {
    const text = response.output;
    (status === "ok" ? context.stdout : context.stderr).write(text === "" || text.endsWith("\n") ? text : `${text}\n`);
    return;
  }
  const { fullOutput } = response;
  const line = {
    id: response.callId,
    type: "result",
    name: response.tool,
    status,
    output: response.output,
    data: response.data === "" ? {} : (JSON.parse(response.data) as unknown),
    ...(fullOutput === undefined
      ? {}
      : { full_output: { digest: fullOutput.digest, size: Number(fullOutput.size), media_type: fullOutput.mediaType } }),
  };
  context.stdout.write(`${JSON.stringify(line)}\n`);
}
