import type { NetworkPolicy } from "@guildhall/core";

import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { createStyle } from "../output/style.ts";
import { workspaceOf } from "./arguments.ts";
import { withConnection } from "./session.ts";

/** `guild network show`. */
export function showNetwork(context: Context, options: { workspace?: string; json?: boolean }): Promise<number> {
  return withConnection(context, async (connection) => {
    const directory = workspaceOf(context, options.workspace);
    const { sources, policy, notices } = await connection.access.showPolicy({ directory });
    const effective = JSON.parse(policy) as { network: NetworkPolicy };
    if (options.json === true) {
      context.stdout.write(`${JSON.stringify({ id: directory, type: "policy", sources, notices, ...effective })}\n`);
      return exitCode.done;
    }
    const style = createStyle(context.color);
    for (const notice of notices) context.stderr.write(`guild: ${notice}\n`);
    const { layers, limits } = effective.network;
    if (layers.every((layer) => layer.length === 0)) {
      context.stdout.write(`nothing leaves a sandbox here; rules go into ${context.paths.config}/policy.toml (docs/network.md)\n`);
    }
    for (const [index, layer] of layers.entries()) {
      if (layers.length > 1) context.stdout.write(style.dim(index === 0 ? "allowed by the operator:\n" : "and, at the same time, by:\n"));
      for (const rule of layer) {
        const { methods = ["any method"], paths = ["any path"], ports = [rule.plain === true ? "80, 443" : "443"] } = rule;
        const word = rule.refuse === true ? style.bad("refuse") : style.good("allow ");
        const facts = [methods.join(" "), `port ${ports.join(", ")}`, paths.join(" "), ...(rule.plain === true ? ["plain HTTP too"] : [])];
        context.stdout.write(`${word} ${style.bold(rule.host)}  ${facts.join(" · ")}  ${style.dim(`(${rule.id})`)}\n`);
      }
    }
    const limited = Object.entries(limits);
    if (limited.length > 0)
      context.stdout.write(style.dim(`limits: ${limited.map(([name, value]) => `${name} ${String(value)}`).join(", ")}\n`));
    return exitCode.done;
  });
}
