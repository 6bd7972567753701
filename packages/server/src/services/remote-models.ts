import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { GuildError, type Model, ModelError, type ModelProvider } from "@guildhall/core";
import { ModelService } from "@guildhall/protocol";

import { fromStatus } from "../rpc/from-status.ts";

/** The models of a models service, as the Model port: who uses them holds no key. */
export function remoteModels(transport: Transport, peer: string): ModelProvider {
  const client = createClient(ModelService, transport);
  return {
    async open({ spec, baseUrl = "", step = 0 }) {
      const described = await client.describeModel({ model: spec, baseUrl }, unary).catch((error: unknown) => {
        throw fromStatus(error, peer);
      });
      const { provider, contextTokens, maxOutputTokens, priceKnown } = described;
      const price = {
        input: described.inputUsdPerMillion,
        cachedInput: described.cachedInputUsdPerMillion,
        cacheWrite: described.cacheWriteUsdPerMillion,
        output: described.outputUsdPerMillion,
      };
      const info = { spec: described.model, provider, contextTokens, maxOutputTokens, price: priceKnown ? price : undefined };
      return remoteModel(client, { info, baseUrl, step, peer });
    },
    async choose({ configured = "", credentials }) {
      try {
        const { model, baseUrl, reason } = await client.chooseModel({ configured, credentials }, unary);
        return { spec: model, reason, ...(baseUrl === "" ? {} : { baseUrl }) };
      } catch (error) {
        throw fromStatus(error, peer);
      }
    },
  };
}

const unary = { timeoutMs: 30_000 };

function remoteModel(
  client: Client<typeof ModelService>,
  { info, baseUrl, step, peer }: { info: Model["info"]; baseUrl: string; step: number; peer: string },
): Model {
  let next = step;
  return {
    info,
    async generate(request, signal, listener) {
      if (signal.aborted) throw new ModelError("cancelled", "the call was cancelled", { cause: signal.reason });
      try {
        const asked = { ...request, model: info.spec, baseUrl, step: next };
        for await (const { kind } of client.generate(asked, { signal })) {
          if (kind.case === "text") listener?.text?.(kind.value);
          else if (kind.case === "reasoning") listener?.reasoning?.(kind.value);
          else if (kind.case === "waiting") listener?.waiting?.(kind.value);
          else if (kind.case === "reply") {
            next++;
            return kind.value;
          }
        }
        throw new ModelError("cut", "the models service ended the reply before it was whole", { remedy: "try again" });
      } catch (error) {
        throw failureOf(error, signal, peer);
      }
    },
    close: async () => undefined,
  };
}

/** A models service that goes away is a model that cannot be reached. */
function failureOf(error: unknown, signal: AbortSignal, peer: string): Error {
  if (error instanceof ModelError) return error;
  if (signal.aborted) return new ModelError("cancelled", "the call was cancelled", { cause: error });
  const meant = fromStatus(error, peer);
  if (!(meant instanceof GuildError)) return meant;
  const kind = meant.code === "unavailable" || meant.code === "deadline_exceeded" ? "unreachable" : "other";
  return new ModelError(kind, meant.line, { cause: error });
}
