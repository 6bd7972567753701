import type { Clock, ModelProvider } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";

import { modelRouting } from "./routing.ts";

/** The models that this process can reach by itself; loaded when first wanted. */
export async function openModelProvider(
  clock: Clock,
  env: Readonly<Record<string, string | undefined>>,
  settings: () => Settings,
): Promise<ModelProvider> {
  const { createModelProvider } = await import("@guildhall/models");
  return createModelProvider({ clock, random: Math.random, proxy: env, routing: () => modelRouting(settings()) });
}
