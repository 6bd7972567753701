import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

import { GuildError } from "@guildhall/core";
import { readMcpServers } from "@guildhall/extensions/mcp-config";

/**
 * Puts one server into the operator's file, or takes it out (`config` undefined), and leaves everything else in it as it is. Throws
 * `invalid_argument` for an entry that is none, `not_found` when there is nothing to take out.
 */
export function changeMcpFile(file: string, name: string, config: unknown): void {
  const whole = read(file);
  const servers = { ...(whole["mcpServers"] as Record<string, unknown> | undefined) };
  if (config === undefined) {
    if (!Object.hasOwn(servers, name)) throw new GuildError("not_found", `there is no MCP server ${name} in ${file}`, { subject: name });
    delete servers[name];
  } else {
    readMcpServers(JSON.stringify({ mcpServers: { [name]: config } }), name, "operator");
    servers[name] = config;
  }
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${randomBytes(6).toString("hex")}`;
  // Headers may hold a token: for its owner alone.
  writeFileSync(temporary, `${JSON.stringify({ ...whole, mcpServers: servers }, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, file);
}

function read(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    throw error;
  }
  readMcpServers(text, file, "operator");
  return JSON.parse(text) as Record<string, unknown>;
}
