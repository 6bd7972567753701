import type { Tool } from "@guildhall/core";
import type { z } from "zod";

/** A tool as its author writes it; what is left out is the careful choice. */
export interface ToolDefinition<Schema extends z.ZodObject> extends Omit<Tool<Schema>, "source" | "repeatable"> {
  /** Default `built-in`. */
  readonly source?: string;
  /** Default: never repeatable. */
  repeatable?(input: z.output<Schema>): boolean;
}

/** Completes a definition to a tool, with the types of its schema. */
export function defineTool<Schema extends z.ZodObject>(definition: ToolDefinition<Schema>): Tool<Schema> {
  return { source: "built-in", repeatable: () => false, ...definition };
}
