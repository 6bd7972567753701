import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { GuildError, type Secrets } from "@guildhall/core";
import type { NamedMcpServer } from "@guildhall/extensions/mcp-config";
import {
  ActionStatus,
  type CallToolboxResponseSchema,
  type ExtensionService,
  type LoginMcpServerResponseSchema,
} from "@guildhall/protocol";

import type { ToolBench } from "../worker/tool-bench.ts";
import { checkWorkspace } from "../worker/workspace.ts";
import { changeMcpFile } from "./mcp-file.ts";
import type { McpServers } from "./mcp-servers.ts";
import { Toolboxes } from "./toolbox.ts";

export interface ExtensionServiceDeps {
  bench: ToolBench;
  servers: McpServers;
  secrets(): Promise<Secrets>;
  version: string;
}

/** MCP servers, and the agent's tools for programs outside. */
export function extensionService(deps: ExtensionServiceDeps): ServiceImpl<typeof ExtensionService> {
  const { bench, servers } = deps;
  const toolboxes = new Toolboxes((workspace, provider) => bench.openTools(workspace, provider));
  const find = (workspace: string, name: string): NamedMcpServer => {
    const found = servers.of(workspace).find((one) => one.name === name);
    if (found === undefined)
      throw new GuildError("not_found", `there is no MCP server ${name}`, { subject: name, remedy: "guild mcp list" });
    return found;
  };
  return {
    async listMcpServers({ workspace }) {
      const stored = new Set(await (await deps.secrets()).names());
      const { signInSecret } = await import("@guildhall/extensions");
      return {
        servers: servers.all(checkWorkspace(workspace)).map(({ name, config, origin, trusted }) => ({
          name,
          origin,
          target: "url" in config ? config.url : [config.command, ...config.args].join(" "),
          state: !trusted ? "untrusted" : config.disabled ? "disabled" : "on",
          signedIn: "url" in config && stored.has(signInSecret(config.url)),
        })),
      };
    },
    async setMcpServer({ name, config }) {
      changeMcpFile(servers.file, name, config === "" ? undefined : parse(config));
      return { file: servers.file };
    },
    async lendMcpServers({ sessionId, config }) {
      servers.lend(sessionId, config);
      return {};
    },
    async testMcpServer({ workspace, name, sandbox }, context) {
      const place = checkWorkspace(workspace);
      const server = find(place, name);
      const opened = await bench.openTools(place, sandbox);
      try {
        const { examineMcpServer } = await import("@guildhall/extensions");
        return await examineMcpServer({
          server,
          workspace: place,
          sandbox: Promise.resolve(opened.sandbox),
          secrets: deps.secrets,
          version: deps.version,
          signal: context.signal,
        });
      } finally {
        await opened.close();
      }
    },
    async *loginMcpServer({ workspace, name }, context) {
      const { config } = find(checkWorkspace(workspace), name);
      if (!("url" in config)) {
        throw new GuildError("failed_precondition", `${name} is a program, not an address: there is nowhere to sign in`, { subject: name });
      }
      const { clientOf, signIn } = await import("@guildhall/extensions");
      const url = Promise.withResolvers<URL | undefined>();
      const done = signIn({
        url: config.url,
        secrets: deps.secrets,
        ...clientOf(config.oauth),
        open: url.resolve,
        signal: context.signal,
      });
      done.then(() => url.resolve(undefined), url.reject);
      const first = await url.promise;
      if (first !== undefined) yield { url: first.href } satisfies MessageInitShape<typeof LoginMcpServerResponseSchema>;
      await done;
      yield { url: "" } satisfies MessageInitShape<typeof LoginMcpServerResponseSchema>;
    },
    async *openToolbox({ workspace, sandbox }, context) {
      const box = await toolboxes.open(checkWorkspace(workspace), sandbox);
      const ended = new Promise<void>((resolve) => context.signal.addEventListener("abort", () => resolve(), { once: true }));
      try {
        let last = "";
        while (!context.signal.aborted) {
          // Before the look, so that a call which ends while this is read is not missed.
          const called = box.called();
          const tools = box.tools();
          const now = tools.map(({ name }) => name).join(" ");
          if (now !== last) yield { toolboxId: box.id, tools };
          last = now;
          await Promise.race([called, ended]);
        }
      } finally {
        await box.close();
      }
    },
    async *callToolbox({ toolboxId, tool, arguments: args }, context) {
      const waiting: string[] = [];
      let wake = Promise.withResolvers<void>();
      const tell = (): void => {
        wake.resolve();
        wake = Promise.withResolvers();
      };
      const progress = (text: string): void => {
        waiting.push(text);
        tell();
      };
      let over = false;
      const call = toolboxes.call(toolboxId, tool, args, { signal: context.signal, progress }).finally(() => {
        over = true;
        tell();
      });
      // Awaited below, once its output has been told.
      call.catch(() => undefined);
      while (!over || waiting.length > 0) {
        const next = waiting.splice(0).join("");
        if (next === "") await wake.promise;
        else yield { kind: { case: "progress", value: next } } satisfies MessageInitShape<typeof CallToolboxResponseSchema>;
      }
      const result = await call;
      yield {
        kind: {
          case: "result",
          value: {
            callId: "call_1",
            tool,
            status: result.status === "ok" ? ActionStatus.OK : ActionStatus.ERROR,
            output: result.output,
            data: result.data === undefined ? "" : JSON.stringify(result.data),
            ...(result.fullOutput === undefined ? {} : { fullOutput: result.fullOutput }),
          },
        },
      } satisfies MessageInitShape<typeof CallToolboxResponseSchema>;
    },
  };
}

function parse(config: string): unknown {
  try {
    return JSON.parse(config);
  } catch (error) {
    throw new GuildError("invalid_argument", `the entry is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}
