import { resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";

import { GuildError, type NetworkPolicy } from "@guildhall/core";
import type { Grant } from "@guildhall/protocol";

import type { Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { createStyle } from "../output/style.ts";
import { withConnection } from "./session.ts";

interface JsonOption {
  json?: boolean;
}

export interface GrantOptions extends JsonOption {
  host: string;
  method: string[];
  path: string[];
  project?: string;
  session?: string;
  env?: string;
}

/** `guild secret set`: the value comes from standard input, or is asked for without being shown. One final line end is no part of it. */
export async function set(context: Context, name: string, options: JsonOption): Promise<number> {
  const value = context.stdin.isTTY === true ? await ask(context, name) : await text(context.stdin);
  return await withConnection(context, async (connection) => {
    await connection.access.setSecret({ name, value: value.replace(/\r?\n$/, "") });
    say(context, options, { id: name, type: "secret", stored: true }, `${name} is stored`);
    return exitCode.done;
  });
}

/** `guild secret list`. */
export function list(context: Context, options: JsonOption): Promise<number> {
  return withConnection(context, async (connection) => {
    const style = createStyle(context.color);
    for (const { name, stored, grants } of (await connection.access.listSecrets({})).secrets) {
      if (options.json === true) {
        context.stdout.write(`${JSON.stringify({ id: name, type: "secret", stored, grants: grants.map(plain) })}\n`);
        continue;
      }
      const none = grants.length === 0 ? style.dim("granted to nobody") : "";
      context.stdout.write(`${style.bold(name)} ${stored ? none : style.warn(`has no value: guild secret set ${name}`)}\n`);
      for (const grant of grants) context.stdout.write(`  ${words(grant)} ${style.dim(grant.id === "" ? grant.source : grant.id)}\n`);
    }
    return exitCode.done;
  });
}

/** `guild secret grant`. */
export function grant(context: Context, name: string, options: GrantOptions): Promise<number> {
  return withConnection(context, async (connection) => {
    const project = options.project === undefined ? "" : resolve(context.cwd, options.project);
    const made = await connection.access.grantSecret({
      grant: {
        secret: name,
        host: options.host,
        methods: options.method,
        paths: options.path,
        project,
        sessionId: options.session ?? "",
        env: options.env ?? "",
      },
    });
    if (made.grant === undefined) throw new GuildError("internal", "the daemon answered without a grant");
    say(context, options, { ...plain(made.grant), type: "grant" }, `${name}: ${words(made.grant)} (${made.grant.id})`);
    if (!(await isReachable(connection, project, options.host))) {
      context.stderr.write(
        `guild: the network policy allows no request to ${options.host}: add a rule to ${context.paths.config}/policy.toml (docs/network.md)\n`,
      );
    }
    return exitCode.done;
  });
}

/** `guild secret revoke`. */
export function revoke(context: Context, name: string, options: JsonOption & { grant?: string; delete?: boolean }): Promise<number> {
  return withConnection(context, async (connection) => {
    if (options.delete === true) {
      await connection.access.deleteSecret({ name });
      say(context, options, { id: name, type: "secret", stored: false }, `${name} and its grants are gone`);
      return exitCode.done;
    }
    const { revoked } = await connection.access.revokeSecret({ name, grantId: options.grant ?? "" });
    say(context, options, { id: name, type: "revoked", grants: revoked }, `${revoked} grant(s) of ${name} taken back`);
    return exitCode.done;
  });
}

async function ask(context: Context, name: string): Promise<string> {
  context.stderr.write(`value of ${name} (not shown): `);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: context.stdin, output: nowhere, terminal: true });
  try {
    return await lines.question("");
  } finally {
    lines.close();
    context.stderr.write("\n");
  }
}

/** A first guess: a host that some rule of each layer names. */
async function isReachable(connection: Connection, directory: string, host: string): Promise<boolean> {
  const { policy } = await connection.access.showPolicy({ directory });
  const { layers } = (JSON.parse(policy) as { network: NetworkPolicy }).network;
  const covers = (pattern: string): boolean => pattern === host || (pattern.startsWith("*.") && host.endsWith(pattern.slice(1)));
  return layers.length > 0 && layers.every((layer) => layer.some((rule) => rule.refuse !== true && covers(rule.host)));
}

function words({ host, methods, paths, project, sessionId, env }: Grant): string {
  return [
    `to ${host}`,
    ...(methods.length > 0 ? [methods.join(" ")] : []),
    ...(paths.length > 0 ? [paths.join(" ")] : []),
    ...(project === "" ? [] : [`in ${project}`]),
    ...(sessionId === "" ? [] : [`for ${sessionId}`]),
    ...(env === "" ? [] : [`as ${env}`]),
  ].join(" · ");
}

function plain({ id, secret, host, methods, paths, project, sessionId, env, source }: Grant): Record<string, unknown> {
  return { id, secret, host, methods, paths, project, session_id: sessionId, env, source };
}

function say(context: Context, options: JsonOption, object: Record<string, unknown>, line: string): void {
  context.stdout.write(`${options.json === true ? JSON.stringify(object) : line}\n`);
}
