import { hash } from "node:crypto";

import { canonicalJson, GuildError } from "@guildhall/core";
import { z } from "zod";

const stdio = z.object({
  type: z.literal("stdio").optional(),
  command: z.string().min(1),
  args: z.array(z.string()).default([]),
  env: z.record(z.string().regex(/^[A-Za-z_]\w*$/, "must be the name of a variable"), z.string()).default({}),
  cwd: z.string().optional(),
});

const http = z.object({
  type: z.enum(["http", "streamable-http"]).optional(),
  url: z.url({ protocol: /^https?$/ }),
  headers: z.record(z.string().regex(/^[A-Za-z0-9-]+$/, "must be the name of a header"), z.string()).default({}),
  /** `session`: through the sandbox's way out, under the policy. `direct`: from the daemon itself; the operator's file alone may say so. */
  network: z.enum(["session", "direct"]).default("session"),
  oauth: z
    .object({
      client_id: z.string().optional(),
      client_secret: z.string().optional(),
      client_metadata_url: z.url().optional(),
      scope: z.string().optional(),
      /**
       * `client_credentials`: the program signs in as itself, without a person, with its secret or with what it signs with its key.
       * `cross_app_access`: an enterprise's identity provider vouches for the person whose ID token it is given.
       */
      grant: z.enum(["authorization_code", "client_credentials", "cross_app_access"]).default("authorization_code"),
      /** The one authorization server that may take part: its issuer. */
      issuer: z.url().optional(),
      /** PEM (PKCS 8), and what is signed with it, for example `ES256`. */
      private_key: z.string().optional(),
      algorithm: z.string().optional(),
      identity_provider: z
        .object({
          issuer: z.url(),
          token_endpoint: z.url().optional(),
          client_id: z.string(),
          client_secret: z.string().optional(),
          id_token: z.string(),
        })
        .optional(),
    })
    .refine(
      ({ grant, client_id, client_secret, private_key, algorithm, issuer }) =>
        grant !== "client_credentials" ||
        (client_id !== undefined &&
          issuer !== undefined &&
          (client_secret !== undefined || (private_key !== undefined && algorithm !== undefined))),
      "client_credentials needs client_id, issuer, and client_secret or private_key with algorithm",
    )
    .refine(
      ({ grant, client_id, client_secret, issuer, identity_provider }) =>
        grant !== "cross_app_access" || [client_id, client_secret, issuer, identity_provider].every((given) => given !== undefined),
      "cross_app_access needs client_id, client_secret, issuer and identity_provider",
    )
    .optional(),
});

const common = z.object({
  disabled: z.boolean().default(false),
  timeout_s: z.number().positive().max(3600).default(60),
  /** Names of tools that are offered; default all. */
  tools: z.array(z.string()).optional(),
});

const serverSchema = z.union([stdio.extend(common.shape), http.extend(common.shape)]);
const fileSchema = z.object({
  mcpServers: z.record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$/, "must be a short name"), serverSchema).default({}),
});

/** One MCP server as `mcpServers` files describe it. */
export type McpServerConfig = z.output<typeof serverSchema>;

/** A server with the name that its tools are called by and the file that named it. */
export interface NamedMcpServer {
  name: string;
  config: McpServerConfig;
  origin: "operator" | "project";
  /** `tools`: a person's own modules, whose tools are called `<name>__<tool>`. Default: an MCP server. */
  kind?: "tools";
  /** Text of files that are there before it starts, by their absolute path in the sandbox. */
  files?: ReadonlyMap<string, string>;
  /** Directory in which packages of the workspace are found too. */
  packages?: string;
}

/**
 * Reads the text of a file with `mcpServers`. Throws `invalid_argument` with the place. Of a project a server that wants to be reached
 * `direct`ly, past the policy, is refused.
 */
export function readMcpServers(text: string, file: string, origin: NamedMcpServer["origin"]): NamedMcpServer[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new GuildError("invalid_argument", `no valid JSON: ${error instanceof Error ? error.message : String(error)}`, { subject: file });
  }
  const read = fileSchema.safeParse(value);
  if (!read.success) {
    const [issue] = read.error.issues;
    throw new GuildError("invalid_argument", `${(issue?.path ?? []).join(".") || "the file"}: ${issue?.message ?? "not understood"}`, {
      subject: file,
      remedy: 'write {"mcpServers": {"name": {"command": …, "args": […]} or {"url": …}}}',
    });
  }
  return Object.entries(read.data.mcpServers).map(([name, config]) => {
    if (origin === "project" && "url" in config && config.network === "direct") {
      throw new GuildError("permission_denied", `${name}: a project's server is reached through the policy only`, {
        subject: file,
        remedy: 'leave "network" out, or let the operator add the server: guild mcp add',
      });
    }
    return { name, config, origin };
  });
}

/** The same for the same configuration. */
export function configDigest(server: NamedMcpServer): string {
  return hash("sha256", canonicalJson({ ...server, files: [...(server.files ?? [])] }), "hex").slice(0, 16);
}
