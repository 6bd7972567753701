import { access } from "node:fs/promises";
import { pathToFileURL } from "node:url";

import { type Clock, GuildError, type Model, type OpenModel } from "@guildhall/core";

/** What a module of one's own is given. */
export interface CustomModelContext {
  /** The part after `#` or after the registered name; empty: none. */
  model: string;
  /** As the caller gave it: base URL, credentials, directory, step. */
  open: OpenModel;
  clock: Clock;
  /** In [0, 1). */
  random(): number;
}

/** What a module exports, as `createModel` or as its default: a factory. */
export type CustomModelFactory = (context: CustomModelContext) => Model | Promise<Model>;

/**
 * A model from a module that the operator named by its path. Nothing is searched for: the file given is the file loaded, in this process and with its rights.
 * Throws `not_found`, and `invalid_argument` for a module that makes no model.
 */
export async function customModel(file: string, context: CustomModelContext): Promise<Model> {
  try {
    await access(file);
  } catch (error) {
    throw new GuildError("not_found", `there is no module ${file}`, {
      subject: file,
      remedy: "give the path of a JavaScript or TypeScript file",
      cause: error,
    });
  }
  const loaded = await load(file);
  const factory = loaded["createModel"] ?? loaded["default"];
  if (typeof factory !== "function") {
    throw new GuildError("invalid_argument", `${file} exports no createModel`, {
      subject: file,
      remedy: "export a function createModel(context) that returns a Model; see docs/models.md",
    });
  }
  const made: unknown = await (factory as (context: CustomModelContext) => unknown)(context);
  if (!isModel(made)) {
    throw new GuildError("invalid_argument", `createModel of ${file} returned no Model`, {
      subject: file,
      remedy: "return an object with info, generate and close; see docs/models.md",
    });
  }
  return made;
}

async function load(file: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    throw new GuildError(
      "invalid_argument",
      `the module ${file} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
      { subject: file, cause: error },
    );
  }
}

function isModel(value: unknown): value is Model {
  if (typeof value !== "object" || value === null) return false;
  const model = value as Partial<Record<keyof Model, unknown>>;
  const { info } = model as { info?: { contextTokens?: unknown; spec?: unknown } };
  return (
    typeof model.generate === "function" &&
    typeof model.close === "function" &&
    typeof info?.contextTokens === "number" &&
    typeof info.spec === "string"
  );
}
