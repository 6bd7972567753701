import type { Settings } from "@guildhall/core/settings";
import type { ModelRouting } from "@guildhall/models";

/** What the settings say of models: modules of one's own, roles, and those that cannot call functions. */
export function modelRouting({ model, routes, modules }: Pick<Settings, "model" | "routes" | "modules">): ModelRouting {
  const textTools = model.text_tools.split(",").map((one) => one.trim());
  return { routes, modules, textTools: textTools.filter((one) => one !== "") };
}
