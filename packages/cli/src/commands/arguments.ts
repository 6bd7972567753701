import { resolve } from "node:path";

import { GuildError } from "@guildhall/core";

import type { Context } from "../client/context.ts";

/** Keys of model providers in the caller's environment, by their usual names: kept in the daemon's memory for one session only. */
export function credentialsOf(context: Context): Record<string, string> {
  return Object.fromEntries(
    credentialNames.flatMap((name) => {
      const value = context.env[name];
      return value === undefined || value === "" ? [] : [[name, value]];
    }),
  );
}

const credentialNames = [
  "ANTHROPIC_API_KEY",
  "OPENAI_API_KEY",
  "OPENAI_COMPATIBLE_API_KEY",
  "OPENROUTER_API_KEY",
  "GOOGLE_API_KEY",
  "GOOGLE_GENERATIVE_AI_API_KEY",
  "GEMINI_API_KEY",
  "AZURE_OPENAI_API_KEY",
  "AWS_BEARER_TOKEN_BEDROCK",
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AWS_REGION",
  "TABBY_API_KEY",
];

/** The directory that a command works in. */
export function workspaceOf(context: Context, given: string | undefined): string {
  return resolve(context.cwd, given ?? ".");
}

/** A model specification with file names made absolute: the daemon lives in another directory. */
export function modelOf(context: Context, spec: string | undefined): string {
  if (spec === undefined) return "";
  if (spec.startsWith("cheapest:")) return `cheapest:${modelOf(context, spec.slice("cheapest:".length))}`;
  if (spec.includes("|")) {
    const each = spec.split("|").map((one) => modelOf(context, one.trim()));
    return each.join("|");
  }
  const match = /^(scripted|replay:lenient|replay|recording|module|text|json|llama):(.+)$/s.exec(spec);
  if (match === null) return spec;
  const [, scheme = "", rest = ""] = match;
  if (scheme === "text" || scheme === "json") return `${scheme}:${modelOf(context, rest)}`;
  if (scheme !== "recording") return `${scheme}:${resolve(context.cwd, rest)}`;
  const colon = rest.indexOf(":");
  if (colon === -1) return `${scheme}:${resolve(context.cwd, rest)}`;
  return `${scheme}:${resolve(context.cwd, rest.slice(0, colon))}:${modelOf(context, rest.slice(colon + 1))}`;
}

/** Parses JSON that a person typed. Throws `invalid_argument` that names what it is. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GuildError("invalid_argument", `${what} is no valid JSON: ${reason}`, {
      remedy: 'quote it for your shell, for example \'{"command": "ls"}\'',
      cause: error,
    });
  }
}
