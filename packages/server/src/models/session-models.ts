import type { RunDeps } from "@guildhall/agent";
import type { ModelProvider } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";

/** The models of one session's run: its own, and the one that writes summaries of its history. */
export function sessionModels(deps: {
  models(): Promise<ModelProvider>;
  settings(): Settings;
  /** The session's keys; may grow while it runs. */
  credentials: Readonly<Record<string, string>>;
}): Pick<RunDeps, "openModel" | "openSummariser" | "mostItems"> {
  const open = async ({ spec, baseUrl, step }: { spec: string; baseUrl: string; step?: number }) =>
    (await deps.models()).open({
      spec,
      credentials: { ...deps.credentials },
      ...(step === undefined ? {} : { step }),
      ...(baseUrl === "" ? {} : { baseUrl }),
    });
  const { max_events: mostItems, summaries } = deps.settings().context;
  return {
    openModel: open,
    mostItems,
    ...(summaries
      ? {
          openSummariser: async (session) => {
            if (deps.settings().routes["condense"] !== undefined) return await open({ spec: "role:condense", baseUrl: "" });
            // What a script or recording says is meant for its session's own steps.
            return /(^|:)(scripted|replay|recording):/.test(session.spec) ? undefined : await open(session);
          },
        }
      : {}),
  };
}
