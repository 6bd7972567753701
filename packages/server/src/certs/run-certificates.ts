import { join } from "node:path";

import { GuildError } from "@guildhall/core";
import { z } from "zod";

import { makeJoinToken } from "./join-tokens.ts";
import { initAuthority, issueCertificate } from "./private-authority.ts";

const requestSchema = z.discriminatedUnion("do", [
  z.object({ do: z.literal("init") }),
  z.object({
    do: z.literal("issue"),
    name: z.string().regex(/^[\w.-]+$/),
    host: z.array(z.string()),
    out: z.string().optional(),
    days: z.number(),
  }),
  z.object({
    do: z.literal("join-token"),
    name: z.string().regex(/^[\w.-]+$/),
    host: z.array(z.string()),
    minutes: z.number().positive(),
    days: z.number(),
  }),
]);

/** `guild certs`: prints what it made and where; resolves to the exit code. */
export async function runCertificates(text: string, config: string, streams: Pick<NodeJS.Process, "stdout" | "stderr">): Promise<number> {
  const directory = join(config, "certs");
  try {
    const parsed = requestSchema.safeParse(JSON.parse(text));
    if (!parsed.success)
      throw new GuildError("invalid_argument", "the name is no name of a service", { remedy: "take letters, digits and hyphens" });
    const request = parsed.data;
    if (request.do === "init") {
      await initAuthority(directory, new Date());
      streams.stdout.write(`authority made in ${directory}; issue certificates from it: guild certs issue NAME --host HOST\n`);
      return 0;
    }
    if (request.do === "join-token") {
      const { name, host, minutes, days } = request;
      streams.stdout.write(`${makeJoinToken(directory, { name, hosts: host, days }, minutes, new Date())}\n`);
      return 0;
    }
    const out = request.out ?? join(directory, request.name);
    const hosts = request.host.length === 0 ? ["localhost", "127.0.0.1"] : request.host;
    await issueCertificate(directory, { name: request.name, hosts, out, days: request.days }, new Date());
    streams.stdout.write(`${out}\n`);
    return 0;
  } catch (error) {
    const own = GuildError.from(error);
    streams.stderr.write(`guild: ${own.line}\n`);
    return own.code === "invalid_argument" || own.code === "not_found" ? 2 : 1;
  }
}
