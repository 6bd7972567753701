import { GuildError } from "@guildhall/core";

import { vendorNames } from "./vendors.ts";

/** What a model specification names. */
export type ModelSpec =
  | { kind: "vendor"; vendor: string; model: string }
  | { kind: "scripted"; file: string }
  | { kind: "replay"; file: string; lenient: boolean }
  | { kind: "recording"; file: string; inner: string }
  | { kind: "module"; file: string; model: string }
  | { kind: "llama"; file: string; context: number | undefined }
  | { kind: "text"; form: "tags" | "json"; inner: string }
  | { kind: "role"; role: string }
  | { kind: "chain"; specs: string[]; order: "given" | "price" };

/**
 * Reads a specification: `anthropic/<model>`, `scripted:<file>`, `replay:<file>`, `replay:lenient:<file>`, `recording:<file>:<specification>`,
 * `module:<file>` or `module:<file>#<model>`, `llama:<file>.gguf` or `llama:<file>.gguf#<tokens of context>`, `text:<specification>`, `json:<specification>`, `role:<name>`; `<specification>|<specification>`
 * for the first that answers, `cheapest:` before it for the cheapest first. Throws `invalid_argument` with the remedy for anything else.
 */
export function parseSpec(spec: string): ModelSpec {
  const order = spec.startsWith("cheapest:") ? "price" : "given";
  const specs = (order === "price" ? spec.slice("cheapest:".length) : spec).split("|").map((one) => one.trim());
  if (specs.length > 1 || order === "price") {
    if (!specs.includes("")) return { kind: "chain", specs, order };
    throw new GuildError("invalid_argument", `“${spec}” lacks a model`, { subject: spec, remedy: FORMS["chain"] ?? "" });
  }
  const scheme = /^(scripted|replay|recording|module|llama|text|json|role):(.*)$/s.exec(spec);
  if (scheme !== null) return parseScheme(spec, scheme[1] ?? "", scheme[2] ?? "");
  const slash = spec.indexOf("/");
  if (slash === -1) {
    throw new GuildError("invalid_argument", `“${spec}” names no model`, {
      subject: spec,
      remedy: vendorNames().includes(spec)
        ? `name one of its models: ${spec}/<model>`
        : "write it as <provider>/<model>, as in anthropic/claude-sonnet-5",
    });
  }
  const vendor = spec.slice(0, slash);
  const model = spec.slice(slash + 1);
  if (model.trim() === "")
    throw new GuildError("invalid_argument", `“${spec}” lacks the model`, { subject: spec, remedy: `write ${vendor}/<model>` });
  return { kind: "vendor", vendor, model };
}

function parseScheme(spec: string, scheme: string, rest: string): ModelSpec {
  const needed = (value: string, what: string): string => {
    if (value !== "") return value;
    throw new GuildError("invalid_argument", `“${spec}” lacks ${what}`, { subject: spec, remedy: FORMS[scheme] ?? "" });
  };
  switch (scheme) {
    case "scripted":
      return { kind: "scripted", file: needed(rest, "the script's file") };
    case "replay": {
      const lenient = rest.startsWith("lenient:");
      return { kind: "replay", file: needed(lenient ? rest.slice("lenient:".length) : rest, "the recording's file"), lenient };
    }
    case "text":
    case "json":
      return { kind: "text", form: scheme === "json" ? "json" : "tags", inner: needed(rest, "the model") };
    case "role":
      return { kind: "role", role: needed(rest, "the role's name") };
    case "module": {
      const hash = rest.indexOf("#");
      const file = hash === -1 ? rest : rest.slice(0, hash);
      return { kind: "module", file: needed(file, "the module's file"), model: hash === -1 ? "" : rest.slice(hash + 1) };
    }
    case "llama": {
      const hash = /^(.*)#(\d{1,9})$/s.exec(rest);
      return { kind: "llama", file: needed(hash?.[1] ?? rest, "the model's file"), context: hash === null ? undefined : Number(hash[2]) };
    }
    default: {
      const colon = rest.indexOf(":");
      const file = colon === -1 ? rest : rest.slice(0, colon);
      return {
        kind: "recording",
        file: needed(file, "the recording's file"),
        inner: needed(colon === -1 ? "" : rest.slice(colon + 1), "the model to record"),
      };
    }
  }
}

const FORMS: Record<string, string> = {
  chain: "write <provider>/<model>|<provider>/<model>",
  text: "write text:<provider>/<model>",
  json: "write json:<provider>/<model>",
  llama: "write llama:<path>.gguf, or llama:<path>.gguf#8192 for another context",
  role: "write role:<name>, with <name> in the settings' [routes]",
  scripted: "write scripted:<file>",
  replay: "write replay:<file> or replay:lenient:<file>",
  recording: "write recording:<file>:<model>",
  module: "write module:<file> or module:<file>#<model>",
};
