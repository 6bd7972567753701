import type { ServiceImpl } from "@connectrpc/connect";
import { GuildError } from "@guildhall/core";
import { ActionStatus, type ExecRequest, type ToolService } from "@guildhall/protocol";

import { type BroughtDeps, broughtTools, NOTHING } from "../extensions/brought-tools.ts";
import { checkWorkspace } from "../worker/workspace.ts";

/** Tools and sandboxes without a model. */
export function toolService(deps: BroughtDeps): ServiceImpl<typeof ToolService> {
  const { bench } = deps;
  return {
    async listTools({ workspace, sandbox }) {
      const { tools, sources } = workspace === "" ? NOTHING : await broughtTools(deps, checkWorkspace(workspace), sandbox);
      return { tools: [...(await bench.list()), ...tools], sources };
    },
    async *callTools(request, context) {
      const workspace = checkWorkspace(request.workspace);
      for await (const { call, result } of bench.call(workspace, request.sandbox, request.calls, context.signal)) {
        yield {
          callId: call.callId,
          tool: call.tool,
          status: result.status === "ok" ? ActionStatus.OK : ActionStatus.ERROR,
          output: result.output,
          data: result.data === undefined ? "" : JSON.stringify(result.data),
          ...(result.fullOutput === undefined ? {} : { fullOutput: result.fullOutput }),
        };
      }
    },
    async *exec(requests, context) {
      const iterator = requests[Symbol.asyncIterator]();
      const first = await iterator.next();
      const start = first.done === true || first.value.kind.case !== "start" ? undefined : first.value.kind.value;
      if (start === undefined) throw new GuildError("invalid_argument", "the first request says what to run");
      const workspace = checkWorkspace(start.workspace);
      yield* bench.exec({ ...start, workspace }, rest(iterator), context.signal);
    },
  };
}

async function* rest(iterator: AsyncIterator<ExecRequest>): AsyncIterable<ExecRequest> {
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
}
